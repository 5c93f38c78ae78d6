"""From a command's options to its run."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from imgbatch.cli import warm_up
from imgbatch.cli.options import recipe_of, settings_of

if TYPE_CHECKING:
    from imgbatch.recipes.recipe import Recipe


def run(recipe: Callable[[], Recipe], options: dict[str, Any]) -> int:
    """Do what a command's options say with the recipe that they mean; return the exit code."""
    if not options["dry_run"] and (
        len(options["paths"]) > 1 or os.path.isdir(options["paths"][0]) or "-" in options["paths"]
    ):
        # A recipe has operations, too.
        warm_up.start(numpy=bool(options.get("filters", True)))
    from imgbatch.cli import session

    wanted = session.Wanted(
        options["dry_run"], options["report"], options["quiet"], options["verbose"]
    )
    return session.run(recipe(), settings_of(options), wanted)


def run_options(name: str, options: dict[str, Any]) -> int:
    """The same, where the options are all that there is."""
    return run(lambda: _saved(recipe_of(name, options), options["save_recipe"]), options)


def _saved(recipe: Recipe, path: str | None) -> Recipe:
    if path is not None:
        from imgbatch.recipes.toml import save

        save(recipe, path)
    return recipe
