"""The settings of a run: where sources come from, where outputs go, and how far a run may go."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict, get_args

from imgbatch.model import MAX_PIXELS, Limits, OnConflict, Sort
from imgbatch.recipes.declarations import (
    Amount,
    Choice,
    Flag,
    Path,
    Seconds,
    Several,
    Whole,
    declared,
    setting,
)
from imgbatch.recipes.settings import METADATA, NAMES, SOURCES

RUN: Final = "How the work is done"
REPLACING: Final = "originals are replaced only where the command itself says so"
"""Why nothing that concerns --in-place can be a default."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where sources come from and where outputs go; what is made of them is in the Recipe.

    `output` None is the folder next to the given one, named after it and the recipe; `jobs` None
    is one per usable processor. `listed` are files named one by one in a list, None without one.
    `in_place` replaces the sources, after moving them to the folder `backup`; with None they are
    gone. `force` remakes what is up to date; `strict` turns warnings into failures;
    `preserve_dates` gives outputs the time of their source; `sort` is the order in which sources
    are numbered. `timeout` is in seconds, `memory` in bytes; None is no limit.
    """

    paths: tuple[str, ...]
    output: str | None = setting(
        None,
        Path(),
        NAMES,
        "Where pictures go.",
        short="-o",
        metavar="DIR",
        unset="next to the folder, named after it",
        more="The name ends in `-resized`, `-converted`, `-filtered` or the recipe's name. Needed "
        "with several PATHs. The tree below each PATH is mirrored; with several, under its own "
        "name.",
        each_run="it is where the pictures of one run go",
    )
    jobs: int | None = setting(
        None,
        Whole(1, None, "found {value} jobs, expected 1 or more", unset="all"),
        RUN,
        "Processes.",
        short="-j",
        metavar="N",
        unset="all usable processors",
        more="CPU affinity and cgroup limits count.",
    )
    listed: tuple[str, ...] | None = None
    sort: Sort = setting(
        "name",
        Choice(get_args(Sort), listed=True),
        NAMES,
        "Order of {seq}: by name, or by the time at which pictures were taken.",
    )
    flat: bool = setting(False, Flag(), NAMES, "Do not mirror the folders of the sources.")
    on_conflict: OnConflict = setting(
        "error",
        Choice(get_args(OnConflict), listed=True),
        NAMES,
        "For a file that exists and is not imgbatch's own, and for two sources with one target.",
        each_run="what becomes of somebody's files is decided for each run",
    )
    force: bool = setting(
        False,
        Flag(),
        NAMES,
        "Remake what is up to date.",
        each_run="everything would be made again, every time",
    )
    in_place: bool = setting(
        False, Flag(), NAMES, "Replace the originals.", python=False, each_run=REPLACING
    )
    backup: str | None = setting(
        None,
        Path(),
        NAMES,
        "With --in-place: where the originals go.",
        metavar="DIR",
        python=False,
        each_run=REPLACING,
    )
    timeout: float | None = setting(
        300.0,
        Seconds(),
        RUN,
        "Give up on a picture that takes longer: 90, or 2m.",
        metavar="TIME",
        more="In Python, None is no limit.",
    )
    memory: int | str | None = setting(
        None,
        Amount(
            "B", "found {value} bytes of memory, expected more", doubtful=1_000_000, likely="GB"
        ),
        RUN,
        "Limit for all pictures in hand together, such as 2GB.",
        metavar="SIZE",
        unset="60 % of what is available",
        more="Of this machine or cgroup. A picture that needs more than a worker's share is made "
        "later, by fewer workers; one that needs more than all fails.",
    )
    max_pixels: int | str = setting(
        MAX_PIXELS,
        Amount("P", "found a limit of {value} pixels, expected 1 or more"),
        RUN,
        "Refuse larger pictures before they are decoded.",
        metavar="N",
    )
    strict: bool = setting(False, Flag(), RUN, "Fail a picture if anything in it cannot be kept.")
    preserve_dates: bool = setting(
        False, Flag(), METADATA, "Give outputs the date and time of their source."
    )
    salvage: bool = setting(
        False,
        Flag(),
        SOURCES,
        "Keep what can be decoded of a truncated or damaged picture, with a warning.",
        more="Otherwise it fails.",
    )
    recursive: bool = setting(True, Flag(), SOURCES, "Go into subfolders.")
    include_outputs: bool = setting(
        False,
        Flag(),
        SOURCES,
        "Also take what imgbatch made before.",
        more="Otherwise outputs of earlier runs, and backups, are left out unless their folder is "
        "named itself.",
    )
    include: tuple[str, ...] = setting(
        (),
        Several(),
        SOURCES,
        "Only files whose path below the folder matches. Repeatable.",
        metavar="GLOB",
        more="Case is ignored, and `*` also matches `/`.",
    )
    exclude: tuple[str, ...] = setting(
        (),
        Several(),
        SOURCES,
        "No files whose path below the folder matches. Repeatable.",
        metavar="GLOB",
    )

    @property
    def limits(self) -> Limits:
        """The limits of each picture, as numbers even where given in words. Raises UsageError."""
        known = declared(Settings)
        memory = known["memory"].check(self.memory)
        return Limits(self.timeout, memory, known["max_pixels"].check(self.max_pixels))

    def check(self) -> None:
        """Raise UsageError for a value that is not allowed."""
        for name, one in declared(Settings).items():
            one.check(getattr(self, name))


class RunWords(TypedDict, total=False):
    """The arguments of `imgbatch.run`, for type checkers: fields of Settings."""

    output: str | os.PathLike[str] | None
    jobs: int | None
    recursive: bool
    include_outputs: bool
    include: Sequence[str]
    exclude: Sequence[str]
    flat: bool
    on_conflict: OnConflict
    force: bool
    salvage: bool
    strict: bool
    preserve_dates: bool
    sort: Sort
    timeout: float | None
    memory: int | str | None
    max_pixels: int | str


def settings_of(paths: Sequence[str | os.PathLike[str]], words: RunWords) -> Settings:
    """The settings that the arguments of a Python call mean; its paths may be of any kind."""
    for unknown in words.keys() - RunWords.__annotations__.keys():
        raise TypeError(f"run() got an unexpected keyword argument {unknown!r}")
    values: dict[str, Any] = dict(words)
    values["paths"] = tuple(os.fspath(path) for path in paths)
    if values.get("output") is not None:
        values["output"] = os.fspath(values["output"])
    for name in values.keys() & {"include", "exclude"}:
        values[name] = tuple(values[name])
    return Settings(**values)
