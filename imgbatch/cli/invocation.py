"""What a command line asks of the command itself, besides its recipe and its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from imgbatch.recipes.declarations import Flag, Path, setting
from imgbatch.recipes.settings import NAMES, SOURCES

REPORTING: Final = "Reporting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What is to be done with a plan, and how it is reported."""

    no_backup: bool = setting(
        False, Flag(), NAMES, "With --in-place: do not keep the originals.", python=False
    )
    null: bool = setting(
        False, Flag(), SOURCES, "A list on standard input is NUL-separated.", python=False
    )
    dry_run: bool = setting(
        False,
        Flag(),
        REPORTING,
        "Show what would be done; write nothing.",
        short="-n",
        python=False,
    )
    report: str | None = setting(
        None,
        Path(),
        REPORTING,
        "Write a report in JSON Lines; - for standard output.",
        metavar="FILE",
        more="A header, one object per file, the summary last. Exit codes 2 and 3 have one, too.",
        python=False,
    )
    explain: bool = setting(
        False, Flag(), REPORTING, "Explain what the recipe does; write nothing.", python=False
    )
    quiet: bool = setting(
        False, Flag(), REPORTING, "No progress bar and no summary, only failures.", python=False
    )
    verbose: bool = setting(
        False, Flag(), REPORTING, "A line for each file.", short="-v", python=False
    )
    save_recipe: str | None = setting(
        None,
        Path(),
        REPORTING,
        "Save these options as a recipe (TOML), also with --dry-run; then go on.",
        metavar="FILE",
        more="A file with different content is never overwritten.",
        python=False,
    )
