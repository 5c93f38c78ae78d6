"""From a command line to its run."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from imgbatch.cli import warm_up
from imgbatch.cli.invocation import Invocation
from imgbatch.cli.options import Given
from imgbatch.errors import UsageError
from imgbatch.running.settings import Settings

if TYPE_CHECKING:
    from imgbatch.recipes.recipe import Recipe

_STDIN: Final = "-"


def run(
    recipe: Callable[[], Recipe], settings: Settings, invocation: Invocation, *, numpy: bool = True
) -> int:
    """Do what a command line asks for with its recipe; return the exit code.

    `numpy` says whether the recipe has operations that need it.
    """
    paths = settings.paths

    def prepare() -> None:
        if not invocation.dry_run:
            warm_up.start(numpy=numpy)

    if len(paths) > 1 or os.path.isdir(paths[0]):
        prepare()
    _check_backup(settings, invocation)
    with ExitStack() as stack:
        if _STDIN in paths:
            # Loaded for few.
            from imgbatch.cli import standard_input

            settings = stack.enter_context(
                standard_input.taken(settings, null=invocation.null, on_list=prepare)
            )
        from imgbatch.cli import session

        return session.run(recipe(), settings, invocation)


def run_options(name: str, request: Given) -> int:
    """The same where the options are the whole recipe."""

    def recipe() -> Recipe:
        from imgbatch.recipes.recipe import Recipe

        return _saved(Recipe.from_settings(name, request.recipe), request.invocation.save_recipe)

    return run(recipe, request.run, request.invocation, numpy=bool(request.recipe.filters))


def _saved(recipe: Recipe, path: str | None) -> Recipe:
    if path is not None:
        from imgbatch.recipes.toml import save

        save(recipe, path)
    return recipe


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
