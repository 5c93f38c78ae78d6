"""What names need to know about sources besides their paths: numbers, and facts from headers."""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from imgbatch.errors import PictureError
from imgbatch.model import Dated, Job, Limits, Size, Source
from imgbatch.planning.compact import Jobs

if TYPE_CHECKING:
    from imgbatch.imaging.decode import Header

_NO_MORE: Final = Limits()


class Facts(NamedTuple):
    """What the header of the source with the number `seq` says.

    `size` is upright and in pixels, (0, 0) if the header cannot be read; `date` is when the picture
    was taken, on the camera's clock (`2024:05:31 18:20:05`); `taken_ns` is that time, or else that
    of the file's last change, in nanoseconds since 1970; `dated` says which field said so.
    """

    seq: int
    size: Size
    date: str | None
    camera: str | None
    taken_ns: int
    dated: Dated = Dated("mtime")


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
        header = read_header(source.file, limits.max_pixels, allow=allow)
    except NotAllowedError:
        return None if here or share < 1 else unread(job)
    except (PictureError, MemoryError):
        # The worker will say so in this source's row.
        return unread(job)
    return told(job, header)


def told(job: Job, header: Header) -> Facts:
    """The facts in the header of a job's source."""
    moment, dated = header.captured
    taken_ns = moment.ns if moment else job.source.mtime_ns
    return Facts(job.seq, header.size, header.date, header.camera, taken_ns, dated)


def unread(job: Job, kind: str = "", cause: str = "") -> Facts:
    """What is known about a source whose header cannot be read, for whatever reason."""
    return Facts(job.seq, (0, 0), None, None, job.source.mtime_ns)


def is_unread(facts: Facts) -> bool:
    """Whether the header could not be read."""
    return facts.size == (0, 0)


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
        row = (*facts.size, facts.date, facts.camera, *facts.dated)
        self._rows[facts.seq - 1] = marshal.dumps(row)

    def facts(self, seq: int) -> Facts:
        width, height, date, camera, *dated = marshal.loads(self._rows[seq - 1])
        return Facts(seq, (width, height), date, camera, self._taken[seq - 1], Dated(*dated))

    def numbers(self) -> array[int]:
        """The number of each source, by the time it was taken."""
        numbers = array("Q", bytes(8 * len(self._taken)))
        order = sorted(range(len(self._taken)), key=self._taken.__getitem__)
        for number, place in enumerate(order, 1):
            numbers[place] = number
        return numbers
