"""How much memory the steps of a recipe take, told before they are done."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from imgbatch.imaging import formats
from imgbatch.imaging.formats import PerPixel
from imgbatch.model import Size
from imgbatch.operations import Operation
from imgbatch.operations.geometry import Resize

# Bytes per pixel of one frame, measured with 2 to 30 of them: GIF and AVIF take the most.
_CODER: Final = 60
# A picture that is made smaller, and what is resampled one way only.
_SMALLER: Final = PerPixel(8, 16)


def bytes_of_frames(
    pixels: int,
    format: str | None,  # noqa: A002
    frames: int,
    *,
    plain: bool,
) -> tuple[int, int]:
    """What each finished frame of `pixels` takes, and what the file that grows of them does."""
    pages = format is None or formats.BY_NAME[format].series == "pages"
    # Pages alone can have 16 bits a channel, and grow twice; a coder keeps frames before.
    each = 4 * pixels * (2 if pages and not plain else 1)
    return each, (2 if pages else 1) * each * frames + _CODER * pixels


@dataclass(slots=True)
class Working:
    """The memory that a picture takes on its way beside the decoded one, `each` byte a pixel.

    `waiting` are the bytes of pictures that something else will begin with, `held` those of the
    picture that the next operation is given, if it is none of these, and `kept` those of buffers
    that serve one operation after the other.
    """

    full_size: Size
    size: Size
    each: int = 4
    waiting: int = 0
    held: int = 0
    kept: int = 0
    peak: int = 0

    def add(self, operations: Iterable[Operation], *, plain: bool) -> None:
        """Count some steps."""
        for operation in operations:
            if not operation.turns:
                self._turn()
            after = operation.output_size(self.full_size)
            made = after if isinstance(operation, Resize) else self._shrunk(after)
            taken = operation.working_bytes(self.size, made, plain=plain)
            kept = operation.kept_bytes(self.size, made, plain=plain)
            self._count(taken - min(kept, self.kept))
            self.kept = max(self.kept, kept)
            self.full_size, self.size = after, made
            self.held = self.each * made[0] * made[1]

    def _shrunk(self, size: Size) -> Size:
        """What is left of a size, if a decoder shrank the picture and nothing resampled it."""
        scale = math.sqrt(
            self.size[0] * self.size[1] / max(1, self.full_size[0] * self.full_size[1])
        )
        return math.ceil(size[0] * scale), math.ceil(size[1] * scale)

    def encode(self, format: str | None, *, plain: bool, limited: bool = False) -> None:  # noqa: A002
        """Count the encoder of a format, the worst of all without one.

        With a limit to the bytes (`limited`) it may have to be given a smaller picture.
        """
        self._turn()
        rows = [formats.BY_NAME[format]] if format else formats.FORMATS
        taken = max(row.encoding.of(self.size, plain=plain) for row in rows)
        taken += _SMALLER.of(self.size, plain=plain) if limited else 0
        self._count(taken)

    def _count(self, taken: int) -> None:
        self.peak = max(self.peak, self.waiting + self.held + self.kept + taken)

    def _turn(self) -> None:
        # The decoded picture may have to be turned upright, into another.
        if not self.waiting:
            self.held = self.held or self.each * self.size[0] * self.size[1]
