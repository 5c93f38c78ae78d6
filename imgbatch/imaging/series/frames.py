"""The frames of an animation, composed: each as it is displayed, one after the other.

WebP and AVIF are composed by their libraries. For GIF and APNG it is done here, as browsers do it:
the canvas is transparent at first, and where a frame is cleared; a background colour is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from io import SEEK_END, BytesIO
from typing import Any, BinaryIO, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace
from PIL import Image

from imgbatch.imaging.containers import gif, isobmff, riff
from imgbatch.imaging.series import apng
from imgbatch.model import Size


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


def find(image: Image.Image, format: str, file: BinaryIO) -> Animation | None:  # noqa: A002
    """The animation in an opened file, None if nothing distinguishes it from a still.

    Nothing is decoded yet. Raises whatever a codec raises.
    """
    search = _SEARCHES.get(format)
    if search is None:
        return None
    place = file.tell()
    try:
        return search(image, file)
    finally:
        file.seek(place)


def opened_cut_short(file: BinaryIO, format: str) -> Image.Image | None:  # noqa: A002
    """An animated WebP that is cut short, opened with the frames that are whole; None otherwise.

    libwebp itself opens none of it. Each ANMF chunk is a frame (RFC 9649, 2.7).
    """
    if format != "webp":
        return None
    file.seek(0)
    data = file.read()
    end, any_frame = 0, False
    for kind, stop in riff.chunk_ends(data):
        end, any_frame = stop, any_frame or kind == b"ANMF"
    if not any_frame or end >= riff.declared_end(data):
        return None
    image = Image.open(BytesIO(riff.shortened(data, end)), formats=("WEBP",))
    image.info[_CUT_SHORT] = True
    return image


def _in_gif(image: Image.Image, file: BinaryIO) -> Animation | None:
    file.seek(0)
    found = gif.read(file.read())
    whole = (0, 0, *image.size)
    if not found.frames or (
        found.complete and len(found.frames) == 1 and found.frames[0].box == whole
    ):
        return None
    size = image.size

    def composed() -> Iterator[Frame]:
        patches = (
            _Patch(
                block.box[:2],
                block.still(),
                block.delay * 10,
                {gif.CLEAR: _CLEAR, gif.RESTORE: _RESTORE}.get(block.disposal, _KEEP),
                over=True,
            )
            for block in found.frames
        )
        kept = all(block.disposal != gif.CLEAR for block in found.frames[:-1])
        grey = all(map(_is_grey, {block.colours for block in found.frames}))
        return _composed(size, patches, grey=grey, kept=kept)

    boxes = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one.box for one in found.frames)]
    return Animation(
        len(found.frames),
        found.plays,
        composed,
        found.complete,
        bytes=_working_bytes(size, max(boxes), file),
    )


def _in_avif(image: Any, file: BinaryIO) -> Animation | None:
    found = _by_its_library(image, file)
    if found is None:
        return None
    file.seek(0)
    return replace(found, plays=isobmff.plays(file.read()))


def _in_png(image: Any, file: BinaryIO) -> Animation | None:
    if image.n_frames == 1 and not image.is_animated:
        return None
    file.seek(0)
    found = apng.read(file.read())
    if found is None or not found.found:
        return None
    size = image.size

    def composed() -> Iterator[Frame]:
        frames = (
            _Patch(frame.at, frame.png, frame.duration, frame.disposal, over=frame.over)
            for frame in found
        )
        kept = image.mode in ("1", "L", "RGB") and "transparency" not in image.info
        kept = kept and all(one.control[6] != apng.CLEAR for one in found.found[:-1])
        grey = image.mode in ("1", "L", "LA", "I;16")
        return _composed(size, frames, grey=grey, kept=kept)

    def whole() -> Image.Image:
        still = Image.open(BytesIO(next(iter(found)).png), formats=("PNG",))
        still.load()
        return still

    return Animation(
        len(found.found),
        found.plays,
        composed,
        found.complete,
        found.still_beside,
        whole,
        _working_bytes(size, max(one.control[0] * one.control[1] for one in found.found), file),
    )


def _by_its_library(image: Any, file: BinaryIO) -> Animation | None:
    count: int = image.n_frames
    complete = _CUT_SHORT not in image.info
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


_SEARCHES: Final[dict[str, Callable[[Any, BinaryIO], Animation | None]]] = {
    "gif": _in_gif,
    "png": _in_png,
    "webp": _by_its_library,
    "avif": _in_avif,
}

_CUT_SHORT: Final = "cut short"
_KEEP, _CLEAR, _RESTORE = apng.KEEP, apng.CLEAR, apng.RESTORE


class _Patch(NamedTuple):
    """A part of the canvas: its upper left corner, a file of it, and what happens to it."""

    at: tuple[int, int]
    file: bytes
    duration: float
    disposal: int
    over: bool


def _composed(size: Size, patches: Iterable[_Patch], *, grey: bool, kept: bool) -> Iterator[Frame]:
    """Frames of `size`. `kept` says that pixels once opaque always will be."""
    canvas = Image.new("RGBA", size)
    mode = None
    for patch in patches:
        with Image.open(BytesIO(patch.file), formats=("GIF", "PNG")) as still:
            still.load()
            laid = _in_rgba(still)
        before = canvas.copy() if patch.disposal == _RESTORE else None
        box = _lay(canvas, laid, patch)
        if mode is None:
            opaque = kept and before is None and canvas.getchannel("A").getextrema() == (255, 255)
            mode = ("L" if grey else "RGB") + ("" if opaque else "A")
        yield Frame(canvas.convert(mode) if mode != "RGBA" else canvas.copy(), patch.duration)
        if before is not None:
            canvas = before
        elif patch.disposal == _CLEAR:
            canvas.paste((0, 0, 0, 0), box)


def _lay(canvas: Image.Image, laid: Image.Image, patch: _Patch) -> tuple[int, int, int, int]:
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


def _working_bytes(size: Size, largest: int, file: BinaryIO) -> int:
    """The canvas, what was below it and the result; a patch as it is decoded; the file."""
    return 16 * size[0] * size[1] + 13 * largest + 2 * file.seek(0, SEEK_END)


def _is_grey(colours: bytes) -> bool:
    return colours[::3] == colours[1::3] == colours[2::3]


def _in_rgba(image: Image.Image) -> Image.Image:
    if image.mode == "I;16":
        from imgbatch.imaging import colour

        image = colour.to_8_bit(image)
    if image.mode in ("1", "L") and "transparency" in image.info:
        image = image.convert("LA")
    return image.convert("RGBA")
