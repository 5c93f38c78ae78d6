"""From a command line to its run."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from imgbatch.cli import warm_up
from imgbatch.cli.invocation import Invocation
from imgbatch.cli.options import Given, found_defaults
from imgbatch.cli.output import tell_lines
from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.running.settings import Settings

if TYPE_CHECKING:
    from imgbatch.recipes.recipe import Recipe

# Some ten million names.
_MAX_LISTED_BYTES: Final = 1_000_000_000
_LIST: Final = "-"


def run(
    recipe: Callable[[], Recipe], settings: Settings, invocation: Invocation, *, numpy: bool = True
) -> int:
    """Do what a command line asks for with its recipe; return the exit code.

    `numpy` says whether the recipe has operations that need it.
    """
    if invocation.log is not None:
        from imgbatch.cli.log import Log

        Log.open(invocation.log)
    paths = settings.paths
    if not invocation.dry_run and (len(paths) > 1 or os.path.isdir(paths[0]) or _LIST in paths):
        warm_up.start(numpy=numpy)
    from imgbatch.cli import session

    return session.run(recipe(), _completed(settings, invocation), invocation)


def run_options(name: str, request: Given) -> int:
    """The same where the options are the whole recipe."""

    def build(fills: Mapping[str, Any]) -> Recipe:
        from imgbatch.recipes.recipe import Recipe

        return Recipe.from_settings(name, replace(request.recipe, **fills))

    def recipe() -> Recipe:
        return _saved(filled_recipe(build, request), request.invocation.save_recipe)

    if request.invocation.explain:
        return explain(filled_recipe(build, request), request)
    return run(recipe, request.run, request.invocation, numpy=bool(request.recipe.filters))


def explain(
    recipe: Recipe, request: Given, stated: Sequence[Mapping[str, Any]] | None = None
) -> int:
    """Print what a recipe does, and where each setting comes from.

    `stated` is what a recipe's file says of each output.
    """
    from imgbatch.cli.explained import explained
    from imgbatch.cli.origins import origins

    tell_lines([*explained(recipe), "", *origins(recipe, request, stated)])
    return 0


def filled_recipe(build: Callable[[Mapping[str, Any]], Recipe], request: Given) -> Recipe:
    """What `build` makes with the defaults that suit it; an error of one says where that is."""
    from imgbatch.recipes.filling import culprit, filled

    try:
        return filled(build, request.fills)
    except UsageError as error:
        name = culprit(build, request.fills)
        if name is None:
            raise
        raise UsageError(f"{found_defaults().found[name].where}: {error}") from None


def _saved(recipe: Recipe, path: str | None) -> Recipe:
    if path is not None:
        from imgbatch.recipes.toml import save

        save(recipe, path)
    return recipe


def _completed(settings: Settings, invocation: Invocation) -> Settings:
    """With the files of a list on standard input, if there is one; raises UsageError."""
    _check_backup(settings, invocation)
    if _LIST not in settings.paths:
        return settings
    listed = tuple(_listed(b"\0" if invocation.null else b"\n"))
    return replace(
        settings, paths=tuple(path for path in settings.paths if path != _LIST), listed=listed
    )


def _check_backup(settings: Settings, invocation: Invocation) -> None:
    """Raise UsageError unless it is clear what becomes of originals that are replaced."""
    given = bool(settings.backup is not None) + invocation.no_backup
    if given and not settings.in_place:
        raise UsageError("--backup and --no-backup only go with --in-place")
    if settings.in_place and given != 1:
        raise UsageError(
            "--in-place replaces the originals: give --backup DIR to keep them there, "
            "or --no-backup (not both)"
        )


def _listed(separator: bytes) -> Iterator[str]:
    data = sys.stdin.buffer.read(_MAX_LISTED_BYTES + 1)
    if len(data) > _MAX_LISTED_BYTES:
        raise UsageError(
            f"found more than {_MAX_LISTED_BYTES / 1e9:g} GB on standard input, "
            "expected a list of files"
        )
    head = data[: formats.HEAD_BYTES]
    # Names may begin like a picture, as in P1000123.JPG, but they have no NUL.
    if separator != b"\0" and b"\0" in head and (row := formats.recognise(head, "")) is not None:
        raise UsageError(
            f"found a picture on standard input ({row.label}), expected a list of files: give its "
            "name instead of -"
        )
    names = data.removeprefix(codecs.BOM_UTF8).split(separator)
    # A list that was written on Windows. A single name may really end in this character.
    ending = b"\r" if separator == b"\n" and all(one[-1:] == b"\r" for one in names if one) else b""
    for name in names:
        if name := name.removesuffix(ending):
            yield os.fsdecode(name)
