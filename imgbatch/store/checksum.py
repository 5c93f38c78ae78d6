"""The checksum by which contents are compared: CRC-32, besides the size, which is compared anyway.

It tells whether a file is what it was, where its size and time say so and its other marks do not.
It need not resist forgery: whoever can write the file can write the picture.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from imgbatch.model import Job
from imgbatch.store import regular

PIECE_BYTES: Final = 1 << 16
"""Files are read in pieces that fit into a processor's cache."""

Checksum = int | bytes
"""A CRC-32 or, for results made in place by an earlier version, BLAKE2b in 16 bytes."""


def of_file(path: str) -> int:
    """The checksum of the file at a path. Raises OSError."""
    from imgbatch.store.crc import crc32

    value = 0
    with regular.opened(path) as file:
        while piece := file.read(PIECE_BYTES):
            value = crc32(piece, value)
    return value


def matches(path: str, recorded: Checksum) -> bool:
    """Whether the file at a path has the recorded content; False if it cannot be read."""
    with suppress(OSError):
        if isinstance(recorded, int):
            return of_file(path) == recorded
        import hashlib

        whole = hashlib.blake2b(digest_size=16)
        with regular.opened(path) as file:
            while piece := file.read(PIECE_BYTES):
                whole.update(piece)
        return whole.digest() == recorded
    return False


def still_needed(job: Job) -> Job:
    """The job without the targets that are up to date because its source has its old content.

    The source is read only if a target asks for it (`Target.unless`).
    """
    for target in job.targets:
        if target.unless is not None:
            break
    else:
        return job
    recorded = {target.unless for target in job.targets}
    same = {one for one in recorded if one is not None and matches(job.source.file, one)}
    if not same:
        return job
    kept = tuple(one.earlier for one in job.targets if one.unless in same and one.earlier)
    needed = tuple(one for one in job.targets if one.unless not in same)
    return replace(job, targets=needed, kept=(*job.kept, *kept))
