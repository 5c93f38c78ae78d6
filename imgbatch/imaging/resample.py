"""Resampling: SIMD through cykooz-resizer where it is installed, Pillow's own elsewhere.

Both are within 0.5 levels RMSE of a float64 computation (tests/imaging/test_resample.py). The
choice is made once, when this module is imported. Kernels have their usual names; `bicubic` is
Catmull-Rom (a = -0.5) in both. Arrays, for which Pillow has no mode, are resampled in strips that
stay in the processor's cache; so they need little memory besides the result, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from PIL import Image

from imgbatch.imaging import room
from imgbatch.imaging.picture import DEEP_MODES, Box
from imgbatch.model import Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgbatch.imaging.deep import Deep

PixelsT = TypeVar("PixelsT", bound="Image.Image | Deep")
Resample = Callable[[Image.Image, Size, str, Box], Image.Image]

KERNELS: Final = ("lanczos", "bicubic", "mitchell", "bilinear", "hamming", "box", "nearest")

SIMD_KERNELS: Final = frozenset(("lanczos", "bicubic", "mitchell", "bilinear", "box"))
"""The kernels that cykooz-resizer has, where it is installed."""

_PILLOW: Final = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}


_FEW_BYTES: Final = 1 << 20
_SLACK: Final = 16 << 20


def resize_pillow(image: Image.Image, size: Size, kernel: str, box: Box) -> Image.Image:
    """Resample the part `box` of `image` to `size` with Pillow (Mitchell with NumPy).

    Modes L, LA, RGB, RGBA, CMYK and I;16; alpha is premultiplied on the way.
    """
    if kernel == "mitchell":
        return _resize_mitchell(image, size, box)
    return image.resize(size, _PILLOW[kernel], box)


def _buffers(image: Image.Image, size: Size) -> int:
    """The bytes of the result and of cykooz-resizer's own buffers: rows of the new height, and
    colours times alpha; 0 if they are too few to check for.
    """
    taken = 4 * (image.width + size[0]) * size[1]
    taken += 4 * image.width * image.height if image.mode in ("LA", "RGBA") else 0
    return taken + _SLACK if taken > _FEW_BYTES else 0


class _Simd:
    """cykooz-resizer, for images and for arrays. Raises ImportError if it is not installed."""

    def __init__(self) -> None:
        import cykooz_resizer as library
        from cykooz_resizer.resize import Resizer

        filters, kind = library.FilterType, library.PixelType
        self._library = library
        self._resizer = Resizer()  # type: ignore[no-untyped-call]
        self._algorithms = {
            kernel: library.ResizeAlg.convolution(one)
            for kernel, one in (
                ("lanczos", filters.lanczos3),
                ("bicubic", filters.catmull_rom),
                ("mitchell", filters.mitchell),
                ("bilinear", filters.bilinear),
                ("box", filters.box),
            )
        }
        self._of_whole = {
            kernel: library.ResizeOptions(one) for kernel, one in self._algorithms.items()
        }
        self._kinds = {
            "uint16": (kind.U16, kind.U16x2, kind.U16x3, kind.U16x4),
            "float32": (kind.F32, kind.F32x2, kind.F32x3, kind.F32x4),
        }

    def image(self, image: Image.Image, size: Size, kernel: str, box: Box) -> Image.Image:
        """Resample the part `box` of `image` to `size`; alpha is premultiplied on the way."""
        known = kernel in self._algorithms
        if known and image.mode == "I;16":
            return _resize_grey_16(image, size, kernel, box)
        if not known or image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
            return resize_pillow(image, size, kernel, box)
        taken = _buffers(image, size)
        if taken and not room.is_there(taken):
            # It ends the process when memory is short.
            return resize_pillow(image, size, kernel, box)
        if image.mode == "LA":
            return self.image(image.convert("RGBA"), size, kernel, box).convert("LA")
        options = self._of_whole[kernel]
        if box != (0, 0, *image.size):
            options = self._options(kernel, box)
        # Not Image.new(mode, size): filling it would be wasted work.
        resized = Image.new(image.mode, size, None)
        self._resizer.resize_pil(image, resized, options)
        return resized

    def array(
        self, array: NDArray[Any], size: Size, kernel: str, box: Box, alpha: bool
    ) -> NDArray[Any] | None:
        """The same for (height, width, channels); None if that cannot be done here."""
        height, width, channels = array.shape
        # The array as bytes, rows of the new height, the result and a copy.
        taken = array.itemsize * channels * (width * (height + size[1]) + 2 * size[0] * size[1])
        if kernel not in self._algorithms or not room.is_there(taken):
            return None
        import numpy as np

        kind = self._kinds[array.dtype.name][channels - 1]
        resized = self._library.ImageData(*size, kind)
        self._resizer.resize(
            self._library.ImageData(width, height, kind, array.tobytes()),
            resized,
            self._options(kernel, box, use_alpha=alpha),
        )
        flat = np.frombuffer(resized.get_buffer(), array.dtype)
        return flat.reshape(size[1], size[0], channels)

    def _options(self, kernel: str, box: Box, *, use_alpha: bool | None = None) -> Any:
        left, top, right, bottom = box
        crop = self._library.CropBox(left, top, right - left, bottom - top)
        algorithm = self._algorithms[kernel]
        return self._library.ResizeOptions(algorithm, use_alpha=use_alpha, crop_box=crop)


def _simd() -> _Simd | None:
    try:
        return _Simd()
    except ImportError:
        return None


_found: Final = _simd()

resize_simd: Final = _found.image if _found else None
"""The SIMD path, or None if cykooz-resizer is not installed."""

_resize: Final[Resample] = resize_simd or resize_pillow


def resize(pixels: PixelsT, size: Size, kernel: str, box: Box | None = None) -> PixelsT:
    """Resample `pixels` (or their part `box`) to `size` (width, height) with `kernel`.

    Returns the very same object if there is nothing to do. Modes as in `Picture`; alpha is
    premultiplied on the way.
    """
    whole = (0, 0, *pixels.size)
    box = box or whole
    if box == whole and size == pixels.size:
        return pixels
    if is_cut(size, box):
        left, top, right, bottom = box
        return pixels.crop((int(left), int(top), int(right), int(bottom)))  # type: ignore[return-value]
    if pixels.mode in DEEP_MODES:
        from imgbatch.imaging.deep import Deep

        return Deep(resize_array(pixels.array, size, kernel, box))  # type: ignore[union-attr,return-value]
    return _resize(pixels, size, kernel, box)  # type: ignore[arg-type,return-value]


def _resize_grey_16(image: Image.Image, size: Size, kernel: str, box: Box) -> Image.Image:
    import numpy as np

    resized = resize_array(np.asarray(image)[..., None], size, kernel, box)
    return Image.fromarray(resized[..., 0])


def is_cut(size: Size, box: Box) -> bool:
    """Whether the part `box` at `size` only has to be cropped, pixel by pixel."""
    return _is_whole_pixels(box) and size == (box[2] - box[0], box[3] - box[1])


_MAX_CLIPPED: Final = 1 / 2000


def is_clipped(image: Image.Image) -> bool:
    """Whether a channel of an 8-bit image has many levels at an end of its range.

    What kernels with negative lobes would put beyond that is lost there, so the image is not fit
    to be resampled again.
    """
    histogram = image.histogram()
    most = _MAX_CLIPPED * image.width * image.height
    bands = len(image.getbands()) - (image.mode in ("LA", "RGBA"))
    return any(histogram[256 * band + level] > most for band in range(bands) for level in (0, 255))


# Strips


class Strip(NamedTuple):
    """Rows of the result, and the part of the source that they need, with the box within that."""

    first: int
    last: int
    part: tuple[int, int, int, int]
    box: Box


_STRIP_PIXELS: Final = 500_000
_MIN_ROWS: Final = 16
# Half of what the widest kernel (Lanczos) reaches to each side, at the scale of the source.
_REACH: Final = 3


def strips(image_size: Size, size: Size, box: Box) -> list[Strip]:
    """How to resample the part `box` of a picture to `size`, some rows at a time.

    Each strip takes all the pixels that its rows depend on, so no seams show.
    """
    left, top, right, bottom = box
    across, down = (right - left) / size[0], (bottom - top) / size[1]
    first, last = _reached(left, right, across, image_size[0])
    widest = max(size[0], (last - first) * down)
    height = max(_MIN_ROWS, int(_STRIP_PIXELS / widest))
    found = []
    for row in range(0, size[1], height):
        stop = min(size[1], row + height)
        begin, end = top + row * down, min(bottom, top + stop * down)
        upper, lower = _reached(begin, end, down, image_size[1])
        # A rounding error must not put the box beyond the part.
        inner = (
            left - first,
            begin - upper,
            min(right - first, float(last - first)),
            min(end - upper, float(lower - upper)),
        )
        found.append(Strip(row, stop, (first, upper, last, lower), inner))
    return found


def strip_pixels(image_size: Size, size: Size, box: Box) -> int:
    """The most pixels that a strip has, in the source and the result together."""
    return max(
        (strip.part[2] - strip.part[0]) * (strip.part[3] - strip.part[1])
        + size[0] * (strip.last - strip.first)
        for strip in strips(image_size, size, box)
    )


def _reached(start: float, stop: float, scale: float, length: int) -> tuple[int, int]:
    reach = _REACH * max(scale, 1.0) + 1
    return max(0, math.floor(start - reach)), min(length, math.ceil(stop + reach))


def resize_strip(array: NDArray[Any], strip: Strip, width: int, kernel: str) -> NDArray[Any]:
    """The rows of one strip, `width` pixels wide, from its part of the source.

    `array` is (height, width, channels), uint16 or float32 from 0 to 1; alpha comes last if
    there are two or four channels, is not premultiplied, and is premultiplied on the way. Floats
    may come out beyond 0 to 1.
    """
    size = (width, strip.last - strip.first)
    alpha = array.shape[2] in (2, 4)
    if kernel == "nearest":
        return _nearest(array, size, strip.box)
    found = _found.array(array, size, kernel, strip.box, alpha) if _found else None
    return found if found is not None else resize_array_pillow(array, size, kernel, strip.box)


def resize_array_pillow(array: NDArray[Any], size: Size, kernel: str, box: Box) -> NDArray[Any]:
    """The same channel by channel, in Pillow's mode F (Mitchell with NumPy)."""
    import numpy as np

    is_float = array.dtype == np.float32
    planes = np.moveaxis(array.astype(np.float32), 2, 0)
    alpha = len(planes) in (2, 4)
    if alpha:
        planes[:-1] *= planes[-1]
    resized = np.stack(
        [
            np.asarray(
                resize_pillow(Image.fromarray(np.ascontiguousarray(plane)), size, kernel, box)
            )
            for plane in planes
        ],
        axis=-1,
    )
    if alpha:
        with np.errstate(divide="ignore", invalid="ignore"):
            resized[..., :-1] /= resized[..., -1:]
        resized[~(resized[..., -1] > 0)] = 0
    return resized if is_float else np.rint(np.clip(resized, 0, 65_535)).astype(np.uint16)


def _nearest(array: NDArray[Any], size: Size, box: Box) -> NDArray[Any]:
    import numpy as np

    left, top, right, bottom = box
    columns = left + (np.arange(size[0]) + 0.5) * ((right - left) / size[0])
    rows = top + (np.arange(size[1]) + 0.5) * ((bottom - top) / size[1])
    return array[rows.astype(np.intp)][:, columns.astype(np.intp)]


def resize_array(
    array: NDArray[np.uint16], size: Size, kernel: str, box: Box
) -> NDArray[np.uint16]:
    """Resample the part `box` of (height, width, channels) to `size`, width and height.

    Alpha, if there are two or four channels, is premultiplied on the way.
    """
    import numpy as np

    image_size = (array.shape[1], array.shape[0])
    resized = np.empty((size[1], size[0], array.shape[2]), np.uint16)
    for strip in strips(image_size, size, box):
        left, top, right, bottom = strip.part
        part = array[top:bottom, left:right]
        resized[strip.first : strip.last] = resize_strip(part, strip, size[0], kernel)
    return resized


def _is_whole_pixels(box: Box) -> bool:
    return all(float(edge).is_integer() for edge in box)


def _resize_mitchell(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Mitchell-Netravali, B = C = 1/3 (SIGGRAPH 1988), which Pillow does not have."""
    import numpy as np

    mode = image.mode
    premultiplied = {"LA": "La", "RGBA": "RGBa"}.get(mode, mode)
    pixels = np.asarray(image.convert(premultiplied) if premultiplied != mode else image)
    across = _mitchell_weights(size[0], box[0], box[2], pixels.shape[1])
    down = _mitchell_weights(size[1], box[1], box[3], pixels.shape[0])
    channels = pixels.reshape(*pixels.shape[:2], -1)
    resized = np.stack(
        [
            down @ (channels[:, :, band].astype(np.float32) @ across.T)
            for band in range(channels.shape[2])
        ],
        axis=-1,
    )
    if mode == "F":
        return Image.fromarray(resized[:, :, 0])
    limit = np.iinfo(pixels.dtype).max
    rounded = np.clip(np.rint(resized), 0, limit).astype(pixels.dtype)
    if channels.shape[2] == 1:
        return Image.fromarray(rounded[:, :, 0])
    out = Image.frombuffer(premultiplied, size, rounded.tobytes(), "raw", premultiplied, 0, 1)
    return out.convert(mode) if premultiplied != mode else out


def _mitchell_weights(length: int, start: float, stop: float, pixels: int) -> NDArray[np.float32]:
    """A (length, pixels) matrix whose rows sum to 1."""
    import numpy as np

    scale = (stop - start) / length
    stretch = max(scale, 1.0)
    centres = start + (np.arange(length) + 0.5) * scale
    distance = np.abs((np.arange(pixels)[None, :] + 0.5 - centres[:, None]) / stretch)
    near = (7 * distance**3 - 12 * distance**2 + 16 / 3) / 6
    far = (-7 / 3 * distance**3 + 12 * distance**2 - 20 * distance + 32 / 3) / 6
    weights: NDArray[np.float64] = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)
