"""The frames of an animation, composed: each as it is displayed, one after the other.

WebP and AVIF are composed by their libraries. For GIF and APNG it is done here, as browsers do it:
the canvas is transparent at first, and where a frame is cleared; a background colour is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from msgspec import Struct
from PIL import Image

from imgbatch.model import Size

KEEP: Final = 0
CLEAR: Final = 1
RESTORE: Final = 2
"""What happens to a patch when its time is over (PNG's dispose_op)."""


class Frame(NamedTuple):
    """A composed frame in L, LA, RGB or RGBA, and its duration in milliseconds."""

    image: Image.Image
    duration: float


class Animation(Struct, frozen=True):
    """What the headers of a file and its frames say about an animation.

    `plays` is how often it is shown, 0 for ever. `complete` is False if the file is cut short:
    then `count` are the frames that are whole. `still_beside` says that there also is a picture
    that is not a frame. `composed` starts at the first frame; `whole` gives a loaded still that
    knows all that the file contains besides the pixels, if that is more than at opening.
    """

    count: int
    plays: int
    composed: Callable[[], Iterator[Frame]]
    complete: bool = True
    still_beside: bool = False
    whole: Callable[[], Image.Image | None] = lambda: None
    bytes: int = 0
    """What composing takes at most, besides what decoding a still in that format takes."""


def by_its_library(image: Any, *, complete: bool = True) -> Animation | None:
    """The animation in an opened image whose frames Pillow gives composed; None for a still."""
    count: int = image.n_frames
    if count == 1 and complete:
        return None

    def composed() -> Iterator[Frame]:
        for number in range(count):
            image.seek(number)
            image.load()
            # A copy: the next frame is decoded into the same pixels.
            yield Frame(image.copy(), image.info.get("duration", 0))

    taken = 4 * image.width * image.height
    return Animation(count, image.info.get("loop", 0), composed, complete, bytes=taken)


class Patch(NamedTuple):
    """A part of the canvas: its upper left corner, what opens it, and what happens to it.

    It is shown for a `duration` in milliseconds, composited `over` what is there or replacing it.
    """

    at: tuple[int, int]
    still: Callable[[], Image.Image]
    duration: float
    disposal: int
    over: bool


def composed(size: Size, patches: Iterable[Patch], *, grey: bool, kept: bool) -> Iterator[Frame]:
    """Frames of `size`: `grey` if all patches are; `kept` if pixels once opaque always will be.

    The canvas is transparent at first, and where a patch is cleared, as browsers have it; a
    background colour is ignored.
    """
    canvas = Image.new("RGBA", size)
    mode = None
    for patch in patches:
        with patch.still() as still:
            still.load()
            laid = _in_rgba(still)
        before = canvas.copy() if patch.disposal == RESTORE else None
        box = _lay(canvas, laid, patch)
        if mode is None:
            opaque = kept and before is None and canvas.getchannel("A").getextrema() == (255, 255)
            mode = ("L" if grey else "RGB") + ("" if opaque else "A")
        yield Frame(canvas.convert(mode) if mode != "RGBA" else canvas.copy(), patch.duration)
        if before is not None:
            canvas = before
        elif patch.disposal == CLEAR:
            canvas.paste((0, 0, 0, 0), box)


def _lay(canvas: Image.Image, laid: Image.Image, patch: Patch) -> tuple[int, int, int, int]:
    """Put a patch on the canvas, cropped to that. Returns its box."""
    left, top = patch.at
    right, bottom = min(left + laid.width, canvas.width), min(top + laid.height, canvas.height)
    box = (left, top, max(left, right), max(top, bottom))
    if right <= left or bottom <= top:
        return 0, 0, 0, 0
    if (right - left, bottom - top) != laid.size:
        laid = laid.crop((0, 0, right - left, bottom - top))
    if patch.over:
        canvas.alpha_composite(laid, patch.at)
    else:
        canvas.paste(laid, patch.at)
    return box


def working_bytes(size: Size, largest: int, length: int) -> int:
    """The bytes that `composed` takes: `largest` are a patch's pixels, `length` is the file's."""
    # The canvas, what was below it and the result; a patch as it is decoded; the file.
    return 16 * size[0] * size[1] + 13 * largest + 2 * length


def _in_rgba(image: Image.Image) -> Image.Image:
    if image.mode == "I;16":
        from imgbatch.imaging import colour

        image = colour.to_8_bit(image)
    if image.mode in ("1", "L") and "transparency" in image.info:
        image = image.convert("LA")
    return image.convert("RGBA")
