"""What a command line asks of the command itself, besides its recipe and its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from imgbatch.recipes.declarations import Flag, Path, Seconds, declared, setting
from imgbatch.recipes.settings import NAMES, SOURCES
from imgbatch.running.settings import REPLACING, RUN

REPORTING: Final = "Reporting"
CHOOSING: Final = "it says which defaults are read"
"""Why no file of defaults can choose another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What is to be done with a plan, and how it is reported."""

    no_backup: bool = setting(
        False,
        Flag(),
        NAMES,
        "With --in-place: do not keep the originals.",
        python=False,
        each_run=REPLACING,
    )
    null: bool = setting(
        False,
        Flag(),
        SOURCES,
        "A list on standard input is NUL-separated.",
        python=False,
        each_run="it describes one list",
    )
    config: str | None = setting(
        None,
        Path(),
        RUN,
        "Read defaults from this file alone.",
        metavar="FILE",
        unset="imgbatch.toml in or above the working folder, and your own config.toml",
        more="[Defaults](defaults.md) has the rest.",
        python=False,
        each_run=CHOOSING,
    )
    no_config: bool = setting(
        False,
        Flag(),
        RUN,
        "Read no files with defaults.",
        python=False,
        each_run=CHOOSING,
    )
    dry_run: bool = setting(
        False,
        Flag(),
        REPORTING,
        "Show what would be done; write nothing.",
        short="-n",
        python=False,
        each_run="nothing would ever be made",
    )
    report: str | None = setting(
        None,
        Path(),
        REPORTING,
        "Write a report in JSON Lines; - for standard output.",
        metavar="FILE",
        more="A header, one object per file, the summary last. Exit codes 2 and 3 have one, too.",
        python=False,
        each_run="each run would overwrite the report of the one before",
    )
    wait: float | None = setting(
        None,
        Seconds(),
        RUN,
        "Wait so long if another run has the output folder: 90, or 2m.",
        metavar="TIME",
        unset="not at all; for a single file 1m",
        python=False,
    )
    log: str | None = setting(
        None,
        Path(),
        REPORTING,
        "Append what is said, and each file's outcome, with times in UTC.",
        metavar="FILE",
        more="Lines such as `2026-11-28T09:30:00.250Z INFO …`, WARNING or ERROR. Its folder is "
        "made. With --quiet and --dry-run, too.",
        python=False,
        each_run="it names a file that is written",
    )
    explain: bool = setting(
        False,
        Flag(),
        REPORTING,
        "Explain what is done, and where each setting comes from; write nothing.",
        python=False,
        each_run="nothing would ever be made",
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
        each_run="it names the file of one recipe",
    )

    def check(self) -> None:
        """Raise UsageError for a value that is not allowed."""
        for name, one in declared(Invocation).items():
            one.check(getattr(self, name))
