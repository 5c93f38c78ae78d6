"""How jobs are split into portions for the workers."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Final

CHUNK_COST: Final = 48_000_000
"""The cost of about a second's work: 48 MB of camera JPEG on one processor."""
FILE_COST: Final = 30_000
"""The cost of a file besides its bytes, in the same unit."""


def chunks(sizes: Sequence[int], workers: int) -> Iterator[array[int]]:
    """Split jobs into portions of about a second, largest files first, smaller towards the end.

    `sizes` are those of the jobs' sources in bytes; a portion is a sequence of their indices.
    The last portions are single files, so that all workers finish at nearly the same time.
    """
    order = array("L", sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True))
    left = sum(sizes) + FILE_COST * len(sizes)
    start = cost = 0
    for end, index in enumerate(order):
        limit = min(CHUNK_COST, left / (3 * workers))
        own = sizes[index] + FILE_COST
        if end > start and cost + own > limit:
            yield order[start:end]
            left -= cost
            start, cost = end, 0
        cost += own
    if start < len(order):
        yield order[start:]
