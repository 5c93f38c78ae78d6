"""What names need to know about sources besides their paths: numbers, and facts from headers."""

from __future__ import annotations

import marshal
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, NamedTuple

from imgbatch.errors import PictureError
from imgbatch.model import LATEST_NS, Job, Limits, Size, Source
from imgbatch.planning.compact import Jobs

_DATE: Final = "%Y:%m:%d %H:%M:%S"
_OFFSET: Final = re.compile(r"([+-])(\d\d):?([0-5]\d)")
_SECOND_NS: Final = 10**9
_SUBSEC_DIGITS: Final = 9


_NO_MORE: Final = Limits()


class Facts(NamedTuple):
    """What the header of the source with the number `seq` says.

    `size` is upright and in pixels, (0, 0) if the header cannot be read; `date` is EXIF's
    DateTimeOriginal; `taken_ns` is that time, or else that of the file's last change, in
    nanoseconds since 1970.
    """

    seq: int
    size: Size
    date: str | None
    camera: str | None
    taken_ns: int


Reader = Callable[[Jobs], Iterable[Facts]]
"""Reads the header of every job's source, in any order; if facts are repeated, the last count."""


def read(
    job: Job, share: float = 1.0, *, limits: Limits = _NO_MORE, here: bool = False
) -> Facts | None:
    """Read the header of a job's source, and nothing else.

    Returns None if that needs more than this `share` of the memory; and, if it is asked for `here`
    (in a process that must not hang), if a C library would read it.
    """
    from imgbatch.imaging.decode import NotAllowedError, read_header

    source = job.source
    most = limits.memory

    def allow(taken: int) -> bool:
        return not here and (most is None or taken <= most * share)

    try:
        header = read_header(source.path, limits.max_pixels, allow=allow)
    except NotAllowedError:
        return None if here or share < 1 else unread(job)
    except (PictureError, MemoryError):
        # The worker will say so in this source's row.
        return unread(job)
    taken = taken_ns(header.date, header.subsec, header.offset)
    return Facts(
        job.seq,
        header.size,
        header.date,
        header.camera,
        source.mtime_ns if taken is None else taken,
    )


def unread(job: Job, kind: str = "", cause: str = "") -> Facts:
    """What is known about a source whose header cannot be read, for whatever reason."""
    return Facts(job.seq, (0, 0), None, None, job.source.mtime_ns)


def is_unread(facts: Facts) -> bool:
    """Whether the header could not be read."""
    return facts.size == (0, 0)


def taken_ns(date: str | None, subsec: str | None, offset: str | None) -> int | None:
    """When a picture was taken according to EXIF, in nanoseconds since 1970; None if unknown.

    From DateTimeOriginal, SubSecTimeOriginal and OffsetTimeOriginal (Exif 2.32, 4.6.5). Without
    an offset, this machine's time zone is assumed.
    """
    try:
        local = datetime.strptime(date or "", _DATE)
    except ValueError:
        return None
    seconds = _seconds(local, _zone(offset))
    digits = subsec if subsec and subsec.isascii() and subsec.isdigit() else ""
    fraction = int(digits[:_SUBSEC_DIGITS].ljust(_SUBSEC_DIGITS, "0"))
    return max(-LATEST_NS, min(seconds * _SECOND_NS + fraction, LATEST_NS))


def _zone(offset: str | None) -> timezone | None:
    match = _OFFSET.fullmatch(offset or "")
    if match is None:
        return None
    minutes = 60 * int(match[2]) + int(match[3])
    try:
        return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))
    except ValueError:
        return None


def _seconds(local: datetime, zone: timezone | None) -> int:
    try:
        return int(local.replace(tzinfo=zone).timestamp())
    except (ValueError, OverflowError, OSError):
        # A year for which this system has no local time.
        return int(local.replace(tzinfo=UTC).timestamp())


def one_by_one(jobs: Jobs) -> Iterator[Facts]:
    """Read the headers in this process, however long it takes."""
    return (read(job) or unread(job) for job in jobs)


def numbered(
    sources: Iterable[Source], reader: Reader | None, *, by_date: bool = False
) -> Iterator[tuple[Source, int, Facts | None]]:
    """Each source in its order, with its number from 1 and, by the `reader`, its header's facts.

    Numbers follow that order too or, if `by_date`, the time at which the pictures were taken (at
    equal times the order of the sources). Without a reader sources are passed on as they come;
    otherwise all are collected first, and kept packed.
    """
    if reader is None:
        for seq, source in enumerate(sources, 1):
            yield source, seq, None
        return
    jobs = Jobs()
    for seq, source in enumerate(sources, 1):
        jobs.append(Job(source, (), seq))
    known = _Known(len(jobs))
    for facts in reader(jobs):
        known.add(facts)
    numbers = known.numbers() if by_date else range(1, len(jobs) + 1)
    for job, number in zip(jobs, numbers, strict=True):
        yield job.source, number, known.facts(job.seq)


class _Known:
    """The facts of a number of sources, packed."""

    def __init__(self, count: int) -> None:
        self._taken = array("q", bytes(8 * count))
        self._rows = [b""] * count

    def add(self, facts: Facts) -> None:
        self._taken[facts.seq - 1] = facts.taken_ns
        self._rows[facts.seq - 1] = marshal.dumps((*facts.size, facts.date, facts.camera))

    def facts(self, seq: int) -> Facts:
        width, height, date, camera = marshal.loads(self._rows[seq - 1])
        return Facts(seq, (width, height), date, camera, self._taken[seq - 1])

    def numbers(self) -> array[int]:
        """The number of each source, by the time it was taken."""
        numbers = array("Q", bytes(8 * len(self._taken)))
        order = sorted(range(len(self._taken)), key=self._taken.__getitem__)
        for number, place in enumerate(order, 1):
            numbers[place] = number
        return numbers
