"""The plain values in terms of which everything else is written.

All of them are frozen and hold nothing but strings, numbers, bytes and each other, so they
cross process boundaries, compare by value, and can be printed in a report.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import MappingProxyType
from typing import ClassVar, Final, Literal, NamedTuple

from msgspec import Struct, field

Size = tuple[int, int]
"""Width and height in pixels."""

Colour = tuple[int, int, int, int]
"""Red, green, blue and alpha, 0 to 255 each, in sRGB, not premultiplied."""

NoticeKind = Literal[
    "alpha-flattened",
    "credentials-dropped",
    "date-unreadable",
    "damaged",
    "depth-reduced",
    "end-missing",
    "enlarged",
    "exif-broken",
    "extras-dropped",
    "frames-dropped",
    "gain-map-dropped",
    "inks-converted",
    "letters-missing",
    "made-again",
    "metadata-dropped",
    "not-linear",
    "profile-dropped",
    "range-scaled",
    "scaled-down",
    "sizes-dropped",
    "tone-mapped",
    "truncated",
    "video-dropped",
]

NOTICES: Final[MappingProxyType[NoticeKind, str]] = MappingProxyType(
    {
        "alpha-flattened": "transparency was laid over --background, or made all or nothing in a "
        "GIF: the format has no other",
        "credentials-dropped": "Content Credentials (C2PA) or another signature was dropped: it "
        "certifies the file as it was",
        "date-unreadable": "a date of capture that cannot be read was passed over: the next one, "
        "or the file's own time, was used",
        "damaged": "the file is damaged; a part of the picture is missing or wrong (--salvage)",
        "depth-reduced": "16 bits per channel were reduced to 8, or to 10",
        "end-missing": "a JPEG lacks its end marker, but nothing of the picture",
        "enlarged": "the picture was made larger than it is (--enlarge)",
        "exif-broken": "an EXIF block was dropped: nothing in it can be read, or it is longer than "
        "is read",
        "extras-dropped": "something else in the file was dropped: a camera's or a program's own "
        "data, layers, a stereo view",
        "frames-dropped": "only the first frame or page was kept",
        "gain-map-dropped": "a second picture in the file (gain map, preview, other view) was "
        "dropped",
        "inks-converted": "CMYK with transparency became RGB with transparency",
        "letters-missing": "a text was drawn with boxes, or without accents: its font lacks some "
        "letters",
        "made-again": "in place: remade from an earlier result, not from the original",
        "metadata-dropped": "EXIF, XMP, IPTC, a comment or a part of them was dropped: the format "
        "cannot hold it, it cannot be read, it does not fit the changed picture, or it is more "
        "than is read",
        "not-linear": "resampled as is, not in linear light: its profile has no simple curves",
        "profile-dropped": "a colour profile that cannot be used, or is longer than is read, was "
        "dropped",
        "range-scaled": "wide or floating point levels were scaled to fit into 16 bits",
        "scaled-down": "the picture was made smaller than asked for: it would not have fitted into "
        "--max-bytes at any fair quality",
        "sizes-dropped": "of an icon with several sizes only the largest was kept",
        "tone-mapped": "high dynamic range (PQ, HLG) was brought to the standard range for a "
        "format or an operation that has no other",
        "truncated": "the file is cut short; what is missing was left blank (--salvage)",
        "video-dropped": "the video of a motion photo was dropped",
    }
)
"""Every kind of warning, and what it means."""

DateSource = Literal[
    "EXIF:DateTimeOriginal",
    "EXIF:DateTimeDigitized",
    "XMP-exif:DateTimeOriginal",
    "XMP-exif:DateTimeDigitized",
    "XMP-photoshop:DateCreated",
    "XMP-xmp:CreateDate",
    "IPTC:DateCreated",
    "IPTC:DigitalCreationDate",
    "EXIF:GPSDateStamp",
    "mtime",
]
"""What says when a picture was taken, in the order in which it is asked; the last is its file."""

MetadataPolicy = Literal["all", "no-gps", "no-location", "copyright", "none"]

METADATA_POLICIES: Final[MappingProxyType[MetadataPolicy, str]] = MappingProxyType(
    {
        "all": "with all metadata",
        "no-gps": "with metadata except GPS",
        "no-location": "with metadata except positions and names of places",
        "copyright": "with author and copyright only",
        "none": "without metadata",
    }
)
"""Every policy for metadata, and what a picture is saved with."""

ProfileName = Literal["adobe-rgb", "display-p3", "prophoto", "rec2020"]
PROFILES: Final[MappingProxyType[str, ProfileName]] = MappingProxyType(
    {
        "adobergb": "adobe-rgb",
        "adobergb1998": "adobe-rgb",
        "displayp3": "display-p3",
        "p3": "display-p3",
        "prophoto": "prophoto",
        "prophotorgb": "prophoto",
        "rommrgb": "prophoto",
        "rec2020": "rec2020",
        "bt2020": "rec2020",
    }
)
"""The profiles besides sRGB that have a name, and other words for them: letters and figures."""
Intent = Literal["perceptual", "relative", "saturation", "absolute"]
Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]
Compression = Literal["none", "packbits", "lzw", "deflate", "zstd", "jpeg"]
Fit = Literal["inside", "outside", "cover", "pad", "exact"]
Gravity = Literal[
    "center",
    "north",
    "northeast",
    "east",
    "southeast",
    "south",
    "southwest",
    "west",
    "northwest",
]
PLACES: Final[MappingProxyType[str, Gravity]] = MappingProxyType(
    {
        "centre": "center",
        "middle": "center",
        "top": "north",
        "bottom": "south",
        "left": "west",
        "right": "east",
        "top-left": "northwest",
        "top-right": "northeast",
        "bottom-left": "southwest",
        "bottom-right": "southeast",
    }
)
"""Other words for a Gravity."""
Kernel = Literal["lanczos", "bicubic", "mitchell", "bilinear", "hamming", "box", "nearest"]
Sort = Literal["name", "date"]
OnConflict = Literal["error", "skip", "overwrite", "rename"]
Status = Literal["done", "skipped", "failed"]
Replaced = Literal["options", "source", "force", "damaged", "conflict"]
"""Why a file was remade: it had been made with other options, or of another content of its
source; --force; it was torn; or it is not ours, and --on-conflict overwrite was given."""
Stage = Literal["open", "decode", "operate", "encode", "write", "worker"]

WHITE: Colour = (255, 255, 255, 255)
LATEST_NS = 2**63 - 1
"""Later times (the year 2262) count as this one: databases have 64 bits for them."""

STREAM = "-"
"""What stands for standard input or output where a path is expected."""

UP_TO_DATE = "up to date"
"""The reason of results that were skipped because nothing has to be remade."""

MAX_PIXELS = 250_000_000
"""Larger pictures fail before they are decoded: a small file can claim to be huge."""


class Source(Struct, frozen=True):
    """A file to read: the folder it was found under, and its place below that folder.

    `root` is as the user gave it; joined with `relative` (separated by "/") it is the path
    that messages and reports name. `size` is in bytes, `mtime_ns` in nanoseconds. `below` is
    the folder of the output that the tree of this root is mirrored into. `ctime_ns` and `inode`
    are as in FileState. What comes from a stream has no file under its name: `copy` is the path of
    one with its bytes.
    """

    root: str
    relative: str
    size: int
    mtime_ns: int
    below: str = ""
    ctime_ns: int = 0
    inode: int = 0
    copy: str = ""

    @property
    def state(self) -> FileState:
        """Its state when it was scanned."""
        return FileState(self.size, self.mtime_ns, self.ctime_ns, self.inode)

    @property
    def path(self) -> str:
        """The path that it is called by, relative if the user's own was relative."""
        return joined(self.root, self.relative)

    @property
    def file(self) -> str:
        """The path to open."""
        return self.copy or joined(self.root, self.relative)

    @property
    def suffix(self) -> str:
        """The end of its name, in lower case and with the dot."""
        return os.path.splitext(self.relative)[1].lower()

    @property
    def mirrored(self) -> str:
        """Its place in the output's tree, separated by "/"."""
        return f"{self.below}/{self.relative}" if self.below else self.relative


class Encoding(Struct, frozen=True):
    """How pixels become a file.

    `format` is a name of the format table, or None to keep each source's own; `quality` is
    1 to 100, or None for the format's default; `background` is what lies under transparent
    pixels where the format has no alpha; `intent` is how colours are converted where the format
    cannot keep theirs. `subsampling` (of chroma), `progressive`, `lossless`, `effort` (1 to 10),
    `compression` and `dither` count where a format has such a setting; None is its default. With
    `colours` (2 to 256) a picture gets a palette of at most so many, where the format has palettes.
    `artist`, `copyright` and `dpi` are written whatever the metadata policy. `max_bytes` limits
    the size of the file; with `keep_smaller` the source's own bytes are used if they are fewer
    and nothing but their coding would change.
    """

    LATER: ClassVar[frozenset[str]] = frozenset({"dpi", "colours"})
    """Fields that were added when recipes had digests already. While one is at its default it does
    not count for them: what was made before is still up to date."""

    format: str | None = None
    quality: int | None = None
    metadata: MetadataPolicy = "all"
    background: Colour = WHITE
    intent: Intent = "relative"
    subsampling: Subsampling | None = None
    progressive: bool = False
    lossless: bool = False
    effort: int | None = None
    compression: Compression | None = None
    dither: bool = True
    artist: str | None = None
    copyright: str | None = None
    max_bytes: int | None = None
    keep_smaller: bool = False
    dpi: int | None = None
    colours: int | None = None


class Origin(Struct, frozen=True):
    """What name templates know about a picture besides what its file tells.

    `stem`, `ext` and `dir` come from the source's path, `parent` is the name of its folder, `seq`
    its number in the run, from 1, `mtime_ns` the time of its last change, and `output` the name of
    the output being made, empty before there are several.
    """

    stem: str = ""
    ext: str = ""
    dir: str = ""
    seq: int = 0
    mtime_ns: int = 0
    output: str = ""
    parent: str = ""


class FileState(NamedTuple):
    """What distinguishes two states of one file: its size in bytes, and when it was changed.

    Programs can preserve the time (`exiftool -P`); `ctime_ns`, the time at which the file's entry
    changed, is the system's own, and `inode` differs if the file was rewritten. Both also differ
    when a file is copied along with its time. 0 is unknown. Anything but a regular file has the
    size -1.
    """

    size: int
    mtime_ns: int
    ctime_ns: int = 0
    inode: int = 0

    def resembles(self, other: FileState | None) -> bool:
        """Whether both have the same size and time: the same content, unless the time was kept."""
        return other is not None and self.size == other.size and self.mtime_ns == other.mtime_ns

    def equals(self, other: FileState | None) -> bool:
        """Whether both are the same state of one file, by all that is known of them."""
        return (
            other is not None
            and self.size == other.size
            and self.mtime_ns == other.mtime_ns
            and (self.ctime_ns == other.ctime_ns or not (self.ctime_ns and other.ctime_ns))
            and (self.inode == other.inode or not (self.inode and other.inode))
        )


class Target(Struct, frozen=True):
    """Where one output of one source goes: below the folder `root`, as in Source.

    `replace` allows whatever is there to be overwritten, `known` only a file that is still in
    that state. With `any_suffix` the suffix follows the format that the source turns out to have.
    `again` says that the source is itself an earlier result (in place). `claimed` says that an
    unfinished run may have left what is there, whole or torn by a power cut: it did if the bytes
    are those that come out now. `unless` is the checksum of a source for which the file there is
    up to date. `standing` is where that file is, below `root`, if its suffix differs.
    `known_hash` is the checksum that a file in the state `known` must have to be replaced, where
    the state proves too little. `replaces` says why a file that is there is remade, `earlier`
    is that file if it turns out to be up to date after all.
    """

    output: str
    root: str
    relative: str
    replace: bool = False
    known: FileState | None = None
    any_suffix: bool = False
    again: bool = False
    claimed: bool = False
    unless: int | bytes | None = None
    standing: str | None = None
    known_hash: int | bytes | None = None
    replaces: Replaced | None = None
    earlier: Earlier | None = None

    @property
    def path(self) -> str:
        """The path to write."""
        return joined(self.root, self.relative)


class Dated(NamedTuple):
    """Where the date of a picture came from; and dates that could not be read, if there are any."""

    source: DateSource
    unread: str = ""


class Job(Struct, frozen=True):
    """One source and a target for each output to be made of it, in the recipe's order.

    `seq` is the source's number in the run, from 1. `dated` is set if its names, or the order,
    depend on when it was taken. `kept` are its outputs that are up to date, as far as more than
    their paths is known.
    """

    source: Source
    targets: tuple[Target, ...]
    seq: int = 0
    dated: Dated | None = None
    kept: tuple[Earlier, ...] = ()


class Made(NamedTuple):
    """What the journal remembers about one target. Paths are bytes, as the system has them.

    `source` is the absolute path of what it was made from, with that file's state, `recipe` the
    digest of how. `size` and `mtime_ns` are the state of the finished file, `path` its place
    below the output folder if that is not the target's own, `hash` the checksum of its bytes;
    all of them are None if it was never finished. The `next_` ones belong to an unfinished run
    that was going to make or remake it; None otherwise. `source_hash` is the checksum of the
    source. `about` and `warnings` are what `store.about` reads. The fields after `next_recipe` are
    None in rows older than these fields.
    """

    source: bytes | None
    source_size: int | None
    source_mtime_ns: int | None
    recipe: str | None
    size: int | None
    mtime_ns: int | None
    path: bytes | None = None
    hash: int | bytes | None = None
    next_source: bytes | None = None
    next_source_size: int | None = None
    next_source_mtime_ns: int | None = None
    next_recipe: str | None = None
    source_ctime_ns: int | None = None
    source_inode: int | None = None
    source_hash: int | None = None
    ctime_ns: int | None = None
    inode: int | None = None
    next_source_ctime_ns: int | None = None
    next_source_inode: int | None = None
    about: str | None = None
    warnings: str | None = None

    @property
    def state(self) -> FileState | None:
        """The state of the finished file."""
        if self.size is None or self.mtime_ns is None:
            return None
        return FileState(self.size, self.mtime_ns, self.ctime_ns or 0, self.inode or 0)

    def suits(self, source: Source, recipe: str) -> bool:
        """Whether it was made from such a source, by size and time, and with this recipe."""
        return (
            self.source_mtime_ns == source.mtime_ns
            and self.source_size == source.size
            and self.recipe == recipe
        )

    def is_certain(self, source: Source) -> bool:
        """Whether a source that suits was not touched since, by all that is known of it."""
        return self.source_ctime_ns in (None, source.ctime_ns) and self.source_inode in (
            None,
            source.inode,
        )

    def claim_suits(self, source: Source, recipe: str) -> bool:
        """The same as `suits`, for what an unfinished run was going to make."""
        return (
            self.next_source_mtime_ns == source.mtime_ns
            and self.next_source_size == source.size
            and self.next_recipe == recipe
        )


class Limits(Struct, frozen=True):
    """Limits for each picture: `timeout` in seconds, `memory` of the whole run in bytes.

    None is no limit. `max_pixels` counts the pixels that the file claims to have.
    """

    timeout: float | None = 300.0
    memory: int | None = None
    max_pixels: int = MAX_PIXELS


class Run(Struct, frozen=True):
    """What the jobs of one run share besides the recipe.

    `word` marks its temporary files and its logs, which are below `output`. With `in_place` the
    targets are the sources, and `backup` is the folder for the originals, None for no backup.
    `salvage` keeps what can be decoded of a damaged picture, `strict` turns every warning into
    a failure, `preserve_dates` gives outputs their source's time, `skip_existing` skips an output
    where another file has appeared since the run was planned.
    """

    word: str
    output: str
    limits: Limits = field(default_factory=Limits)
    in_place: bool = False
    backup: str | None = None
    salvage: bool = False
    strict: bool = False
    preserve_dates: bool = False
    skip_existing: bool = False


class About(NamedTuple):
    """What the journal remembers of a finished file for people: its size in pixels, the name of its
    format, whether it is a copy, and its warnings, each a kind and a message."""

    width: int
    height: int
    format: str
    copied: bool
    warnings: tuple[tuple[str, str], ...] = ()


class Notice(Struct, frozen=True):
    """A warning: the file was made, but something in it could not be kept."""

    kind: NoticeKind
    message: str


class Failure(Struct, frozen=True):
    """Why a file could not be made: the stage, the kind, and a message for people."""

    stage: Stage
    kind: str
    message: str

    @classmethod
    def of_notices(cls, notices: Sequence[Notice], more: str = "") -> Failure:
        """The failure that --strict turns warnings into; `more` is said besides."""
        messages = "; ".join(notice.message for notice in notices)
        return cls("encode", notices[0].kind, f"{messages} (and --strict was given{more})")


class Written(Struct, frozen=True):
    """A finished file: its size in pixels and in bytes, and its format's name.

    `copied` says that it has its source's very bytes, because nothing had to be done, `replaced`
    why a file of its name was remade, if there was one.
    """

    output: str
    path: str
    width: int
    height: int
    bytes: int
    format: str
    copied: bool = False
    replaced: Replaced | None = None


class Earlier(Struct, frozen=True):
    """A finished file of an earlier run that is up to date, and its warnings."""

    written: Written
    notices: tuple[Notice, ...] = ()


class Result(Struct, frozen=True):
    """The one outcome of one source. It names its source itself; nothing is matched by order.

    `date_source` says where its date came from, if the run asked. One that is up to date has the
    files of the earlier run, and their warnings.
    """

    source: Source
    status: Status
    written: tuple[Written, ...] = ()
    notices: tuple[Notice, ...] = ()
    failure: Failure | None = None
    reason: str | None = None
    seconds: float = 0.0
    date_source: DateSource | None = None

    @classmethod
    def failed(cls, source: Source, failure: Failure, seconds: float = 0.0) -> Result:
        """The outcome of a source that could not be made."""
        return cls(source, "failed", failure=failure, seconds=seconds)


class LeftOut(Struct):
    """What a scan did not take for pictures to work on, counted.

    `outputs` are outputs of earlier runs and backed-up originals, `unselected` pictures that the
    patterns of --include and --exclude left out, `links` those that --no-links passed over.
    `folders` counts folders of the system's by their names, `others` files that are no pictures by
    their suffixes.
    """

    outputs: int = 0
    unselected: int = 0
    folders: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    links: int = 0


LeftOverReason = Literal["source-gone", "not-made"]


class LeftOver(Struct, frozen=True):
    """An output of an earlier run that this one does not make: its source is gone, or other outputs
    are made of that.

    `target` is its name in the journal, `place` where it is below the output folder, `path` the
    same seen from the working folder, `source` the absolute path of what it was made from. It is
    still imgbatch's if it is in this `state`, or has this checksum.
    """

    target: str
    place: str
    path: str
    source: str
    reason: LeftOverReason
    state: FileState
    hash: int | bytes | None = None


class Warned(Struct):
    """A kind of warning in a run: how many there were, and the first. `earlier` counts those of
    files that are up to date."""

    times: int
    source: Source
    message: str
    earlier: int = 0


class Summary(Struct):
    """The outcome of a run: results, folded one by one.

    `copied` counts those among `done` that needed nothing and were copied unchanged, `up_to_date`
    those among `skipped` that need not be made again, `warned` warnings by their kind, `replaced`
    those among `done` that were remade, by the reason. `pruned` counts outputs of earlier runs
    that were removed, `left_over` those that --prune would remove, by the reason. `bytes_in`
    counts the sources that were done, `bytes_out` what was written from them. `signal` is the one
    that interrupted the run, `stopped` why it ended early by itself. `failures` keeps the first few
    failed results, so that a run of a million stays small.
    """

    FAILURES_KEPT = 3

    jobs: int = 1
    planned: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    copied: int = 0
    warnings: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    signal: int | None = None
    stopped: str | None = None
    report_lost: bool = False
    failures: list[Result] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    up_to_date: int = 0
    warned: dict[NoticeKind, Warned] = field(default_factory=dict)
    replaced: dict[Replaced, int] = field(default_factory=dict)
    pruned: int = 0
    left_over: dict[LeftOverReason, int] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count one result."""
        self.warnings += len(result.notices)
        for notice in result.notices:
            warned = self.warned.setdefault(notice.kind, Warned(0, result.source, notice.message))
            warned.times += 1
            warned.earlier += result.status == "skipped"
        if result.status == "done":
            self.done += 1
            self.bytes_in += result.source.size
            copied, replaced = bool(result.written), None
            for one in result.written:
                self.bytes_out += one.bytes
                copied = copied and one.copied
                replaced = replaced or one.replaced
            self.copied += copied
            if replaced is not None:
                self.replaced[replaced] = self.replaced.get(replaced, 0) + 1
        elif result.status == "skipped":
            self.skipped += 1
            self.up_to_date += result.reason == UP_TO_DATE
        else:
            self.failed += 1
            if len(self.failures) < self.FAILURES_KEPT:
                self.failures.append(result)

    @property
    def unfinished(self) -> int:
        """How many planned files have no outcome because the run ended early."""
        return self.planned - self.done - self.skipped - self.failed

    @property
    def exit_code(self) -> int:
        """0 all done or up to date, 1 something failed, 128 + the signal that interrupted."""
        if self.signal is not None:
            return 128 + self.signal
        return 1 if self.failed or self.stopped or self.report_lost else 0


def up_to_date(
    source: Source, outputs: Sequence[Earlier], *, strict: bool = False, seconds: float = 0.0
) -> Result:
    """The outcome of a source whose outputs need not be made again.

    With `strict` their warnings are a failure, as they were or would have been when it was made.
    """
    notices = tuple(dict.fromkeys(notice for one in outputs for notice in one.notices))
    if strict and notices:
        failure = Failure.of_notices(notices, "; what was made without it was left as it is")
        return Result.failed(source, failure, seconds)
    written = tuple(one.written for one in outputs)
    return Result(source, "skipped", written, notices, reason=UP_TO_DATE, seconds=seconds)


def joined(root: str, relative: str) -> str:
    """The path of what is at `relative` (with slashes) below the folder `root`."""
    if os.sep != "/":
        return os.path.join(root, relative.replace("/", os.sep))
    # The same as os.path.join, in a third of the time.
    return f"{root}{relative}" if not root or root[-1] == "/" else f"{root}/{relative}"
