"""The settings of a run: where sources come from, where outputs go, and how far a run may go."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypedDict, get_args

from msgspec.structs import replace

from imgbatch.errors import UsageError
from imgbatch.model import MAX_PIXELS, Limits, OnConflict, Sort, Source
from imgbatch.recipes.declarations import (
    Amount,
    Choice,
    Flag,
    Path,
    Seconds,
    Several,
    Text,
    Whole,
    check_words,
    declared,
    setting,
    several,
)
from imgbatch.recipes.settings import METADATA, NAMES, SOURCES

MEMORY_SHARE: Final = 0.6
"""The share of the available memory that a run takes by default."""

RUN: Final = "How the work is done"
REPLACING: Final = "originals are replaced only where the command itself says so"
"""Why nothing that concerns --in-place can be a default."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where sources come from and where outputs go; what is made of them is in the Recipe.

    `output` None is the folder next to the given one, named after it and the recipe, or with
    `subfolder` a folder of that name beside each source; `jobs` None is one per usable processor.
    `listed` are files named one by one in a list, None without one. `named` says that the user gave
    the names of outputs for this run, `streamed` is a source that is no file. `in_place` replaces
    the sources, after moving them to the folder `backup`; with None they are gone. `force` remakes
    what is up to date; `strict` turns warnings into failures; `preserve_dates` gives outputs the
    time of their source; `sort` is the order in which sources are numbered. `timeout` is in
    seconds, `memory` in bytes; None is no limit.
    """

    paths: tuple[str, ...]
    output: str | None = setting(
        None,
        Path(),
        NAMES,
        "The folder where pictures go; for a single picture also a file, such as a.webp, or - for "
        "standard output.",
        short="-o",
        metavar="PATH",
        unset="next to the folder or file, named after it",
        more="The name then ends in `-resized`, `-converted`, `-filtered` or the recipe's name. "
        "Needed with several PATHs. The tree below each PATH is mirrored; with several, under its "
        "own name. A name with the suffix of a picture is [one file](recipes.md#one-picture) in "
        "that format, unless there is such a folder, or it ends in `/`.",
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
    named: bool = False
    streamed: Source | None = None
    sort: Sort = setting(
        "name",
        Choice(get_args(Sort), listed=True),
        NAMES,
        "Order of {seq}: by name, or by the time at which pictures were taken.",
    )
    subfolder: str | None = setting(
        None,
        Text(),
        NAMES,
        "Put pictures into a subfolder of this name beside each original.",
        metavar="NAME",
        more="Instead of --output: `web` makes `shoot/day1/web/a.jpg` of `shoot/day1/a.jpg`. "
        "Later runs do not take these for originals.",
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
    prune: bool = setting(
        False,
        Flag(),
        NAMES,
        "Remove outputs of earlier runs whose source is gone, or of which others are made now.",
        more="Only imgbatch's own, if unchanged, and only those of sources in the folders or among "
        "the files that are given.",
        each_run="it removes files",
    )
    in_place: bool = setting(False, Flag(), NAMES, "Replace the originals.", each_run=REPLACING)
    backup: str | None = setting(
        None,
        Path(),
        NAMES,
        "With --in-place: where the originals go.",
        metavar="DIR",
        more="In Python, `in_place` needs `backup`, too; None keeps no originals.",
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
    links: bool = setting(
        True,
        Flag(),
        SOURCES,
        "Follow links to folders, and take links to files.",
        more="Links that are named themselves are followed in any case.",
    )
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

    @property
    def limits_here(self) -> Limits:
        """The same, with a share of this machine's memory unless it is limited."""
        # `--help` reads declarations, too.
        from imgbatch.executors import resources

        limits = self.limits
        return replace(limits, memory=limits.memory or int(MEMORY_SHARE * resources.memory()))

    def check(self) -> None:
        """Raise UsageError for a value that is not allowed."""
        for name, one in declared(Settings).items():
            one.check(getattr(self, name))


class RunWords(TypedDict, total=False):
    """The arguments of `imgbatch.run`, for type checkers: fields of Settings."""

    output: str | os.PathLike[str] | None
    subfolder: str | None
    in_place: bool
    backup: str | os.PathLike[str] | None
    jobs: int | None
    recursive: bool
    links: bool
    include_outputs: bool
    include: Sequence[str] | str
    exclude: Sequence[str] | str
    flat: bool
    on_conflict: OnConflict
    force: bool
    prune: bool
    salvage: bool
    strict: bool
    preserve_dates: bool
    sort: Sort
    timeout: float | None
    memory: int | str | None
    max_pixels: int | str


class PictureWords(TypedDict, total=False):
    """The arguments that a single picture takes, for type checkers: fields of Settings."""

    salvage: bool
    strict: bool
    memory: int | str | None
    max_pixels: int | str


_MAY_BE_NONE: Final = frozenset(
    one.name for one in fields(Settings) if str(one.type).endswith("None")
)


def settings_of(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    words: RunWords,
    call: str = "run",
) -> Settings:
    """The settings that the arguments of a Python call mean; its paths may be of any kind.

    Raises TypeError for an unknown argument, UsageError for a path that is none.
    """
    values = _known(call, words, RunWords)
    values["paths"] = _paths(paths)
    if values.get("in_place") and "backup" not in values:
        raise UsageError(
            "in_place replaces the originals: give backup=FOLDER to keep them there, or backup=None"
        )
    if values.get("backup") is not None and not values.get("in_place"):
        raise UsageError("found a backup without in_place, which is what it is for")
    for name in ("output", "backup", "subfolder"):
        if values.get(name) == "":
            raise UsageError(f"found an empty {name}: is a variable empty?")
    for name in values.keys() & {"output", "backup"}:
        if values[name] is not None:
            values[name] = _path(name, values[name])
    for name in values.keys() & {"include", "exclude"}:
        values[name] = several(name, values[name])
        for pattern in values[name]:
            if not isinstance(pattern, str):
                raise UsageError(f"found {name} {pattern!r}, expected a pattern such as '*.jpg'")
    return Settings(**values)


def picture_settings(call: str, words: PictureWords) -> Settings:
    """The same for a picture that is no file of a run."""
    settings = Settings((), **_known(call, words, PictureWords))
    settings.check()
    return settings


def _known(call: str, words: Mapping[str, Any], known: type) -> dict[str, Any]:
    """The arguments, if all are known; otherwise raises TypeError.

    Raises UsageError for a None that means nothing.
    """
    check_words(call, words, known.__annotations__)
    for name, one in declared(Settings).items():
        if name in words and words[name] is None and name not in _MAY_BE_NONE:
            one.kind.check(one.word, None)
    return dict(words)


def _paths(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    if isinstance(paths, str | os.PathLike):
        return (os.fsdecode(paths),)
    if isinstance(paths, bytes) or not isinstance(paths, Iterable):
        raise UsageError(f"found paths {paths!r}, expected a path, or a list of them")
    return tuple(_path("paths", path) for path in paths)


def _path(name: str, value: Any) -> str:
    if isinstance(value, str | os.PathLike):
        return os.fsdecode(value)
    raise UsageError(f"found {name} {value!r}, expected a path: text or a path object")
