"""From pictures to the frames of a GIF: which palette each has, and which part changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image

from imgbatch.imaging.containers import gif
from imgbatch.imaging.containers.gif import Block
from imgbatch.imaging.series import quantise
from imgbatch.imaging.series.quantise import Palette, Pixels

# Per channel, in levels: noise of a lossy source, much less than 256 colours cost.
_STILL_THE_SAME: Final = 3

# A palette for all frames is used if it is not much worse than their own.
_WORSE: Final = 1.5
_SLACK: Final = 2.0
# And checked again when a frame comes that it suits less.
_LESS: Final = 1.3
_MIN_SAMPLE: Final = 10_000

_ROOMY: Final = 8
"""Smaller tables have no place to spare for what stays the same."""


def encode(
    images: Sequence[Image.Image],
    durations: Sequence[float] = (0,),
    *,
    plays: int = 1,
    dither: bool = True,
    colours: int = gif.MAX_COLOURS,
    comment: bytes | None = None,
) -> bytes:
    """A GIF of L, LA, RGB or RGBA images of one size, shown for `durations` (milliseconds).

    Tables have at most so many `colours`, including what is transparent. They are exact if a frame
    has no more. Alpha from 128 up is opaque.
    What does not change from frame to frame is not written again, so it does not flicker; equal
    frames become one.
    """
    blocks = list(_blocks(images, delays(durations), _Colours(images, colours), dither=dither))
    return gif.write(images[0].size, blocks, plays=plays, comment=comment)


def delays(durations: Sequence[float]) -> list[int]:
    """Milliseconds in hundredths of a second, rounded so that their sum stays right."""
    wanted, written = 0.0, 0
    result = []
    for duration in durations:
        wanted += duration / 10
        # A frame with any duration does not get 0, which is played as a tenth of a second.
        result.append(max(1 if duration else 0, round(wanted) - written))
        written += result[-1]
    return result


class _Drawn(Struct):
    """A frame that is not written yet: what happens to it depends on the next.

    `numbers` are the indices of its pixels in `colours`, `seen` is how it looks, `below` what it
    is laid over (both RGBA). With `declared` the transparent index is written even if unused.
    """

    numbers: NDArray[np.uint8]
    colours: Palette
    transparent: int | None
    declared: bool
    seen: Pixels
    below: Pixels
    delay: int

    def blocks(self, cleared: NDArray[np.bool_] | None, *, first: bool) -> Iterator[Block]:
        """The block to write, and more of them if one cannot wait that long.

        `cleared` are the pixels that the next frame needs cleared.
        """
        changed = np.any(self.seen != self.below, axis=2)
        needed = changed if cleared is None else changed | cleared
        height, width = needed.shape
        left, top, right, bottom = (0, 0, width, height) if first else _around(needed)
        part = np.s_[top:bottom, left:right]
        numbers = self.numbers[part]
        if self.transparent is not None:
            numbers = np.where(changed[part], numbers, self.transparent).astype(np.uint8)
        disposal = gif.KEEP if cleared is None else gif.CLEAR
        image = Image.fromarray(numbers).convert("L")
        image = Image.frombytes("P", image.size, image.tobytes())
        table = self.colours
        if self.transparent is not None:
            table = np.concatenate([table, np.zeros((1, 3), np.uint8)])
        image.putpalette(table.tobytes())
        used = self.declared or bool((numbers == self.transparent).any())
        block = Block(
            (left, top, right, bottom),
            _compressed(image),
            table.tobytes(),
            delay=min(self.delay, gif.LONGEST_DELAY),
            disposal=disposal,
            transparent=self.transparent if used else None,
        )
        rest = self.delay - block.delay
        while rest:
            yield block._replace(disposal=gif.KEEP)
            block = block._replace(delay=min(rest, gif.LONGEST_DELAY))
            rest -= block.delay
        yield block


def _blocks(
    images: Sequence[Image.Image], delays: Sequence[int], colours: _Colours, *, dither: bool
) -> Iterator[Block]:
    height, width = images[0].height, images[0].width
    blank: Pixels = np.zeros((height, width, 4), np.uint8)
    pending: _Drawn | None = None
    given, meant, written = blank, blank, 0
    for image, delay in zip(images, delays, strict=True):
        frame = quantise.cut_out(image)
        below = blank
        if pending is not None:
            if np.array_equal(frame, given):
                pending.delay += delay
                continue
            below = pending.seen
            gone = (below[..., 3] > 0) & (frame[..., 3] == 0)
            cleared = gone if gone.any() else None
            last = None
            for block in pending.blocks(cleared, first=not written):
                yield block
                last, written = block, written + 1
            if cleared is not None and last is not None:
                below = _emptied(below, last.box)
        palette, exact = colours.of(frame)
        if exact:
            numbers = quantise.numbered(frame, palette)
        else:
            numbers = quantise.reduced(frame, palette, dither=dither)
        seen = np.dstack([palette[numbers], frame[..., 3]])
        seen[frame[..., 3] == 0] = 0
        if pending is not None and not exact:
            same = _unmoved(frame, meant) & (pending.seen[..., 3] > 0)
            if pending.colours is palette:
                numbers[same] = pending.numbers[same]
            else:
                # Only what is not cleared can stay: it may have other colours.
                same &= below[..., 3] > 0
            seen[same] = pending.seen[same]
            meant = np.where(same[..., None], meant, frame)
        else:
            meant = frame
        given = frame
        number = colours.transparent(palette)
        pending = _Drawn(numbers, palette, number, colours.alpha, seen, below, delay)
    if pending is not None:
        yield from pending.blocks(None, first=not written)


def _emptied(pixels: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    """A copy with a box emptied."""
    left, top, right, bottom = box
    emptied = pixels.copy()
    emptied[top:bottom, left:right] = 0
    return emptied


def _unmoved(frame: Pixels, meant: Pixels) -> NDArray[np.bool_]:
    """Which opaque pixels are as they were meant when drawn: small steps do not add up."""
    moved = np.maximum(frame, meant) - np.minimum(frame, meant) > _STILL_THE_SAME
    return ~moved.any(axis=2) & (frame[..., 3] > 0)


def _around(needed: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of all that is True; one pixel if nothing is."""
    rows, columns = np.flatnonzero(needed.any(axis=1)), np.flatnonzero(needed.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


class _Colours:
    """The palette of each frame, with at most `places` for colours and for what is transparent.

    `alpha` says that something is transparent in any of them.
    """

    def __init__(self, images: Sequence[Image.Image], places: int) -> None:
        self.alpha = any(map(_has_holes, images))
        self._several = len(images) > 1
        self._places = places
        # One place is for what is transparent or, if there is room, for what stays the same.
        self._most = places - self.alpha
        self._room = places - (self.alpha or (self._several and places >= _ROOMY))
        self._every = self._exactly(images)
        self._chosen: Palette | None = None
        self._error = 0.0
        if self._every is None:
            each = max(_MIN_SAMPLE, quantise.SAMPLE // len(images))
            parts = [quantise.sample(quantise.cut_out(image), each)[:, :3] for image in images]
            self._whole = quantise.palette_for(np.concatenate(parts), self._room)

    def _exactly(self, images: Sequence[Image.Image]) -> Palette | None:
        palette = np.zeros((0, 3), np.uint8)
        for image in images:
            own = quantise.colours_of(quantise.cut_out(image), self._most)
            both = None if own is None else np.unique(np.concatenate([palette, own]), axis=0)
            if both is None or len(both) > self._most:
                return None
            palette = both
        return palette if len(palette) else np.zeros((1, 3), np.uint8)

    def of(self, frame: Pixels) -> tuple[Palette, bool]:
        """A frame's palette, and whether that has all of its colours."""
        if self._every is not None:
            return self._every, True
        own = quantise.colours_of(frame, self._most)
        if own is not None:
            return (own if len(own) else np.zeros((1, 3), np.uint8)), True
        if not self._several:
            return self._whole, False
        colours = quantise.sample(frame, _MIN_SAMPLE)[:, :3]
        if self._chosen is not None:
            error = quantise.error(colours, self._chosen)
            if error <= _LESS * self._error + _SLACK:
                return self._chosen, False
        mine = quantise.palette_for(colours, self._room)
        best = quantise.error(colours, mine)
        error = quantise.error(colours, self._whole)
        good = error <= _WORSE * best + _SLACK
        self._chosen, self._error = (self._whole, error) if good else (mine, best)
        return self._chosen, False

    def transparent(self, palette: Palette) -> int | None:
        """The index after the last colour, if there is room for one and any use."""
        if len(palette) < self._places and (self.alpha or self._several):
            return len(palette)
        return None


def _has_holes(image: Image.Image) -> bool:
    """Whether any pixel of it is to be transparent."""
    if image.mode not in ("LA", "RGBA"):
        return False
    low = image.getchannel("A").getextrema()[0]
    return isinstance(low, int | float) and low < 128


def _compressed(image: Image.Image) -> bytes:
    """The data of a frame, from the indices in a P image."""
    buffer = BytesIO()
    image.save(buffer, "GIF", optimize=False, interlace=0)
    return gif.read(buffer.getvalue()).frames[0].data
