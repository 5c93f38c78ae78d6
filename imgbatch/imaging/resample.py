"""Resampling: SIMD through cykooz-resizer where it is installed, Pillow's own elsewhere.

Both are within 0.5 levels RMSE of a float64 computation (tests/test_resample.py). The choice is
made once, when this module is imported. Kernels carry the field's names; `bicubic` is
Catmull-Rom (a = -0.5) in both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from PIL import Image

from imgbatch.imaging.picture import Box
from imgbatch.model import Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Resample = Callable[[Image.Image, Size, str, Box], Image.Image]

KERNELS: Final = ("lanczos", "bicubic", "mitchell", "bilinear", "hamming", "box", "nearest")

_PILLOW: Final = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}


def resize_pillow(image: Image.Image, size: Size, kernel: str, box: Box) -> Image.Image:
    """Resample the part `box` of `image` to `size` with Pillow (Mitchell with NumPy).

    Modes L, LA, RGB, RGBA, CMYK and I;16; alpha is premultiplied on the way.
    """
    if kernel == "mitchell":
        return _resize_mitchell(image, size, box)
    return image.resize(size, _PILLOW[kernel], box)


def _simd() -> Resample | None:
    try:
        from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions
        from cykooz_resizer.resize import Resizer
    except ImportError:
        return None

    convolution = ResizeAlg.convolution
    algorithms = {
        "lanczos": convolution(FilterType.lanczos3),
        "bicubic": convolution(FilterType.catmull_rom),
        "mitchell": convolution(FilterType.mitchell),
        "bilinear": convolution(FilterType.bilinear),
        "box": convolution(FilterType.box),
    }
    resizer = Resizer()  # type: ignore[no-untyped-call]

    def resize_simd(image: Image.Image, size: Size, kernel: str, box: Box) -> Image.Image:
        """Resample the part `box` of `image` to `size`; alpha is premultiplied on the way."""
        algorithm = algorithms.get(kernel)
        if algorithm is None or image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
            return resize_pillow(image, size, kernel, box)
        if image.mode == "LA":
            return resize_simd(image.convert("RGBA"), size, kernel, box).convert("LA")
        left, top, right, bottom = box
        crop = CropBox(left, top, right - left, bottom - top)
        # Not Image.new(mode, size): its fill is work for nothing.
        resized = Image.new(image.mode, size, None)
        resizer.resize_pil(image, resized, ResizeOptions(algorithm, crop_box=crop))
        return resized

    return resize_simd


resize_simd: Final = _simd()
"""The SIMD path, or None where cykooz-resizer is not installed."""

_resize: Final[Resample] = resize_simd or resize_pillow


def resize(image: Image.Image, size: Size, kernel: str, box: Box | None = None) -> Image.Image:
    """Resample `image` (or its part `box`) to `size` (width, height) with `kernel`.

    Returns `image` itself when there is nothing to do. Modes as in `Picture`; alpha is
    premultiplied on the way.
    """
    whole = (0, 0, *image.size)
    box = box or whole
    if box == whole and size == image.size:
        return image
    if _is_whole_pixels(box) and size == (box[2] - box[0], box[3] - box[1]):
        left, top, right, bottom = box
        return image.crop((int(left), int(top), int(right), int(bottom)))
    return _resize(image, size, kernel, box)


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
