"""From a command line to its run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imgbatch.cli import warm_up
from imgbatch.cli.invocation import Invocation
from imgbatch.cli.options import Given, found_defaults
from imgbatch.cli.output import tell_lines
from imgbatch.errors import UsageError
from imgbatch.model import STREAM
from imgbatch.recipes.declarations import declared
from imgbatch.running.settings import Settings

if TYPE_CHECKING:
    from imgbatch.recipes.recipe import Recipe


def run(
    recipe: Callable[[], Recipe], settings: Settings, invocation: Invocation, *, numpy: bool = True
) -> int:
    """Do what a command line asks for with its recipe; return the exit code.

    `numpy` says whether the recipe has operations that need it.
    """
    _check_files(invocation)
    if invocation.log is not None:
        from imgbatch.cli.log import Log

        Log.open(invocation.log)
    paths = settings.paths

    def prepare() -> None:
        if not invocation.dry_run:
            warm_up.start(numpy=numpy)

    if len(paths) > 1 or os.path.isdir(paths[0]):
        prepare()
    _check_backup(settings, invocation)
    with ExitStack() as stack:
        if STREAM in paths:
            # Loaded for few.
            from imgbatch.cli import standard_input

            settings = stack.enter_context(
                standard_input.taken(settings, null=invocation.null, on_list=prepare)
            )
        from imgbatch.cli import session

        return session.run(recipe(), settings, invocation)


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


def _check_files(invocation: Invocation) -> None:
    """Raise UsageError if two options name one file."""
    places: dict[str, str] = {}
    for name in ("report", "log", "save_recipe"):
        path = getattr(invocation, name)
        if path in (None, "-"):
            continue
        option = declared(Invocation)[name].word
        other = places.setdefault(os.path.realpath(path), option)
        if other != option:
            raise UsageError(f"--{other} and --{option} are one file, {path}: give each its own")


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
