"""How much memory a recipe takes besides the decoded picture, added up before that is decoded.

Every estimate is a bound (see imgbatch/imaging/memory.py), so it includes pictures that may exist.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from imgbatch.imaging import formats, memory
from imgbatch.imaging.picture import stored_bytes
from imgbatch.model import Encoding, Size
from imgbatch.operations import Operation
from imgbatch.operations.geometry import Resize

# Bytes for what each of them needs once.
_AROUND: Final = 4_000_000
# Bytes per pixel of one frame, measured with 2 to 30 of them: GIF and AVIF take the most.
_CODER: Final = 60


class Start(NamedTuple):
    """A decoded picture: its upright size in the file, the size that it has, its original format,
    for outputs that keep that (None: any), the mode of its pixels, and how many `frames` of it
    there are.
    """

    full_size: Size
    size: Size
    format: str | None
    mode: str
    frames: int = 1

    def bytes_of(self, size: Size) -> int:
        """The bytes of a picture of that size with the same pixels."""
        return stored_bytes(self.mode) * size[0] * size[1]


class Made(NamedTuple):
    """What one output does, and whether others start from the result of its first step."""

    operations: Sequence[Operation]
    encoding: Encoding
    serves: bool = False


class _Steps(NamedTuple):
    """The sum of some operations: the `peak` of the bytes they take, those of the pictures `held`
    at their end, and of buffers that libraries keep.
    """

    start: Start
    peak: int = 0
    held: int = 0
    kept: int = 0


def working_bytes(prepare: Sequence[Operation], outputs: Iterable[Made], start: Start) -> int:
    """The most bytes that operations and encoders take at once.

    With several frames, all finished ones wait for the last, for all outputs, and then their
    files; files are assumed to be as large as their pixels.
    """
    prepared = _done(prepare, start) if prepare else _Steps(start)
    upright = prepared.start.bytes_of(prepared.start.size) if prepare else 0
    peak, kept, waiting, frames = prepared.peak, prepared.kept, 0, 0
    for output in outputs:
        steps = _done(output.operations, prepared.start, upright=bool(prepare))
        finished = start.frames * steps.start.bytes_of(steps.start.size)
        encoder = _encoder(output.encoding, steps.start)
        if start.frames > 1:
            encoder += 2 * finished
            frames += finished
        peak = max(peak, waiting + upright + max(steps.peak, steps.held + encoder))
        kept = max(kept, steps.kept)
        waiting += finished + (steps.held if output.serves else 0)
    return peak + kept + frames + _AROUND


def _done(operations: Sequence[Operation], start: Start, *, upright: bool = False) -> _Steps:
    """The operations one after the other; the first one's picture stays until the last is done.

    A picture that is not `upright` may have to be turned, which makes another, unless the first
    operation does that itself.
    """
    turns = upright or (bool(operations) and operations[0].turns)
    first, held, peak, kept = 0, 0 if turns else start.bytes_of(start.size), 0, 0
    for operation in operations:
        after = operation.output_size(start.full_size)
        made = after if isinstance(operation, Resize) else _shrunk(after, start)
        taken = operation.working_bytes(start.size, made, mode=start.mode)
        kept = max(kept, operation.kept_bytes(start.size, made, mode=start.mode))
        peak = max(peak, first + held + taken)
        mode = operation.output_mode(start.mode)
        start = start._replace(full_size=after, size=made, mode=mode)
        first, held = (first, start.bytes_of(made)) if first else (start.bytes_of(made), 0)
    return _Steps(start, peak, first + held, kept)


def _shrunk(size: Size, start: Start) -> Size:
    """What is left of a size if a decoder shrank the picture and nothing resampled it."""
    (width, height), (full_width, full_height) = start.size, start.full_size
    scale = math.sqrt(width * height / max(1, full_width * full_height))
    return math.ceil(size[0] * scale), math.ceil(size[1] * scale)


def _encoder(encoding: Encoding, start: Start) -> int:
    """The bytes of the worst of all formats, where the format is not known."""
    name = encoding.format or start.format
    rows = [formats.BY_NAME[name]] if name else formats.BY_NAME.values()
    limited = encoding.max_bytes is not None
    taken = max(
        memory.encoding(
            row,
            start.size,
            mode=start.mode,
            limited=limited,
            indexed=encoding.colours is not None,
        )
        for row in rows
    )
    return taken + (_CODER * start.size[0] * start.size[1] if start.frames > 1 else 0)
