"""TIFFs for which Pillow has no mode, or gets them wrong, through tifffile (the extra `deep`).

Signed numbers, Lab of every kind, CMYK with alpha, further channels, and planes where Pillow mixes
them up. Pillow still reads their directories, and what travels with the pixels.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

from PIL import Image, TiffImagePlugin

from imgbatch.imaging import colour
from imgbatch.imaging.modes import with_sane_profile
from imgbatch.imaging.picture import Picture
from imgbatch.model import Notice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgbatch.imaging.containers.tiff import Directory
    from imgbatch.imaging.modes import PixelsAndNotices

# Whatever these say is said by an exception, too, or does not matter. Where nobody asks for the log
# it would go to standard error, without the name of a file.
for _name in (TiffImagePlugin.__name__, "tifffile"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

_one_at_a_time: Final = threading.Lock()
_BEYOND: Final = "imgbatch: beyond Pillow"
_RAW_MODE: Final = "one that has no decoder, and is long enough for every plane"
_MOST_CHANNELS: Final = 64
# Their number is a SHORT.
_MOST_SAMPLES: Final = 65_535
_PLANES: Final = 2

# Tags of TIFF 6.0.
_BITS_PER_SAMPLE: Final = 0x0102
_COMPRESSION: Final = 0x0103
_PHOTOMETRIC: Final = 0x0106
_FILL_ORDER: Final = 0x010A
_SAMPLES: Final = 0x0115
_PLANAR: Final = 0x011C
_EXTRA_SAMPLES: Final = 0x0152
_SAMPLE_FORMAT: Final = 0x0153

# Photometric interpretations: sections 4 to 6, 16 and 23, and those of TIFF technical note 4.
_WHITE_IS_ZERO: Final = 0
_SEPARATED: Final = 5
_CIE_LAB: Final = 8
_ICC_LAB: Final = 9
_ITU_LAB: Final = 10
_LABS: Final = frozenset({_CIE_LAB, _ICC_LAB, _ITU_LAB})
_COLOURS: Final = {_WHITE_IS_ZERO: 1, 1: 1, 2: 3, _SEPARATED: 4, **dict.fromkeys(_LABS, 3)}
_MODES: Final = {1: "L", 3: "RGB", 4: "CMYK"}
_UNSIGNED, _SIGNED, _FLOATS = 1, 2, 3
_PREMULTIPLIED: Final = 1
_ALPHAS: Final = frozenset({_PREMULTIPLIED, 2})
# What `read` takes, as measured: arrays as stored, pixels, and those in other modes.
_ARRAYS: Final = 2.5
_PIXEL_BYTES: Final = 10
_INK_BYTES: Final = 12
_MAXIMUM: Final = 65_535
_ROWS: Final = 64
"""Converted at once."""


class Layout(NamedTuple):
    """What a pixel consists of: numbers in a `form` with so many `bits`, colours first.

    `extras` are the kinds of the samples after those (section 18), as far as the file names them.
    """

    photometric: int
    form: int
    bits: int
    samples: int
    extras: tuple[int, ...]
    packed: bool

    @classmethod
    def of(cls, image: Any) -> Layout:
        """That of an opened image."""
        tags = image.tag_v2
        bits = tags.get(_BITS_PER_SAMPLE, (1,))
        return cls(
            tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO),
            tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0],
            max(bits),
            tags.get(_SAMPLES, len(bits)),
            tuple(tags.get(_EXTRA_SAMPLES, ())),
            tags.get(_COMPRESSION, 1) != 1,
        )

    @property
    def colours(self) -> int:
        """How many samples are colours or inks."""
        return _COLOURS.get(self.photometric, self.samples)

    @property
    def alpha(self) -> int | None:
        """Which sample is alpha; None if there is none."""
        kinds = self.extras
        if not kinds and self.colours in (1, 3) and self.samples == self.colours + 1:
            # It is common to forget to say so.
            return self.colours
        return next((self.colours + at for at, one in enumerate(kinds) if one in _ALPHAS), None)

    @property
    def is_premultiplied(self) -> bool:
        """Whether colours are multiplied by alpha."""
        place = self.alpha
        return place is not None and _PREMULTIPLIED in self.extras[place - self.colours :][:1]

    @property
    def highest(self) -> int:
        """The number for white, once signed ones are unsigned."""
        return 1 if self.form == _FLOATS else (1 << self.bits) - 1

    @property
    def mode(self) -> str:
        """Pillow's mode for as many channels, or LAB."""
        if self.photometric in _LABS:
            return "LAB"
        mode = _MODES[self.colours]
        return mode + "A" if self.alpha is not None and mode != "CMYK" else mode


def is_beyond(image: Image.Image) -> bool:
    """Whether an image was opened by `opening`, so that only `read` can read it."""
    return _BEYOND in image.info


def is_converted(image: Image.Image) -> bool:
    """Whether `read` converts an image to sRGB, so that its profile no longer applies."""
    if not is_beyond(image):
        return False
    layout = Layout.of(image)
    return layout.mode == "LAB" or (layout.mode == "CMYK" and layout.alpha is not None)


def is_misread(image: Any) -> bool:
    """Whether Pillow opens an image, but mixes up its planes."""
    if image.tag_v2.get(_PLANAR, 1) != 2 or image.tag_v2.get(_PHOTOMETRIC) not in _COLOURS:
        return False
    layout = Layout.of(image)
    if layout.samples == 1:
        return False
    if layout.photometric in _LABS or layout.mode == "LA":
        return True
    if layout.alpha is not None and (layout.is_premultiplied or len(layout.extras) > 1):
        return True
    further = layout.alpha is None and layout.samples > layout.colours
    return sum((layout.bits > 8, further, not layout.packed)) > 1


WHITE_FIRST: Final = (b"MM", 0, (1,), 1, (16,), ())
"""Big-endian 16-bit grey with 0 for white, of which only Pillow's table does not know."""


@contextmanager
def white_first() -> Iterator[None]:
    """Let Pillow open `WHITE_FIRST`, which it can load, too."""
    with _one_at_a_time:
        table = TiffImagePlugin.OPEN_INFO
        there = WHITE_FIRST in table
        table.setdefault(WHITE_FIRST, ("I;16", "I;16B"))
        try:
            yield
        finally:
            if not there:
                table.pop(WHITE_FIRST, None)


@contextmanager
def opening() -> Iterator[None]:
    """Let Pillow open, in this thread, what `read` reads; it cannot load that."""
    with _one_at_a_time:
        table, most = TiffImagePlugin.OPEN_INFO, TiffImagePlugin.MAX_SAMPLESPERPIXEL
        TiffImagePlugin.OPEN_INFO = _Everything(table)
        TiffImagePlugin.MAX_SAMPLESPERPIXEL = _MOST_CHANNELS
        try:
            yield
        finally:
            TiffImagePlugin.OPEN_INFO, TiffImagePlugin.MAX_SAMPLESPERPIXEL = table, most


def marked(image: Image.Image) -> Image.Image:
    """An image from `opening`, as `is_beyond` knows it."""
    image.info[_BEYOND] = True
    return image


class _Everything(dict[Any, tuple[str, str]]):
    """Pillow's table; for this thread one for all kinds with whole bytes, made up when asked."""

    def __init__(self, table: dict[Any, tuple[str, str]]) -> None:
        super().__init__(table)
        self._thread = threading.get_ident()

    def __getitem__(self, key: Any) -> tuple[str, str]:
        return _made_up(key) if threading.get_ident() == self._thread else super().__getitem__(key)


def _made_up(key: Any) -> tuple[str, str]:
    """A mode of Pillow's for a kind of pixels, as its table has them. Raises KeyError."""
    _, photometric, form, order, bits, extras = key
    known = photometric in _COLOURS and form[0] in (_UNSIGNED, _SIGNED, _FLOATS)
    depths = {8, 16} if photometric in _LABS else {8, 16, 32, 64}
    if form[0] == _FLOATS:
        depths = {16, 32, 64}
    if not known or order != 1 or len({*bits}) != 1 or bits[0] not in depths:
        raise KeyError(key)
    layout = Layout(photometric, form[0], bits[0], len(bits), extras, packed=False)
    named = layout.colours + (len(extras) or layout.alpha is not None)
    if layout.samples != named:
        # Other inks than CMYK, for example.
        raise KeyError(key)
    return layout.mode, _RAW_MODE


def is_known(found: Directory) -> bool:
    """Whether pixels of the kind that a directory describes are read, or it contradicts itself.

    One number of bits may stand for all samples, as in Pillow.
    """

    def numbers(tag: int, *default: int) -> tuple[int, ...]:
        return tuple(found.numbers(tag)) or default

    samples, photometric = numbers(_SAMPLES, 1)[0], numbers(_PHOTOMETRIC, _WHITE_IS_ZERO)[0]
    bits, forms = numbers(_BITS_PER_SAMPLE, 1), numbers(_SAMPLE_FORMAT, _UNSIGNED)
    if _MOST_CHANNELS < samples <= _MOST_SAMPLES:
        return False
    if samples > _MOST_SAMPLES or 1 < len(bits) < samples:
        return True
    bits = bits * samples if len(bits) == 1 else bits[:samples]
    form = forms[:1] if len({*forms}) == 1 else forms
    order, fill = b"II" if found.order == "<" else b"MM", numbers(_FILL_ORDER, 1)[0]
    key = (order, photometric, form, fill, bits, numbers(_EXTRA_SAMPLES))
    # Of these Pillow's table is not enough: see `is_misread`.
    planes = samples > 1 and numbers(_PLANAR, 1)[0] == _PLANES and photometric in _COLOURS
    in_table = key in TiffImagePlugin.OPEN_INFO or key == WHITE_FIRST
    return _is_made_up(key) or (in_table and not planes)


def _is_made_up(key: Any) -> bool:
    try:
        _made_up(key)
    except KeyError:
        return False
    return True


def reading_bytes(image: Image.Image) -> float:
    """Bytes per pixel that `read` takes at most, besides the file, and the pixels in 8 bits."""
    layout = Layout.of(image)
    inks = _INK_BYTES if layout.mode == "CMYK" else 0
    return _ARRAYS * layout.samples * layout.bits / 8 + _PIXEL_BYTES + inks


def working_mode(image: Image.Image) -> str:
    """The mode of the pixels from `read` if they have 8 bits, or one that takes more memory."""
    layout = Layout.of(image)
    return "RGBA" if layout.mode == "CMYK" or layout.alpha is not None else "RGB"


def read(image: Image.Image, file: BinaryIO) -> PixelsAndNotices:
    """The pixels of an image that is beyond Pillow, as they are stored.

    8 bits stay 8, all else becomes 16, and inks have 8. Lab becomes sRGB, as do inks with alpha.
    The file's position is not restored. Raises EOFError if it is cut short, ValueError if it is
    broken.
    """
    import numpy as np

    from imgbatch.imaging import deep_files

    layout, stored = Layout.of(image), cast("Any", image)
    # Pillow gives the size after turning.
    array = deep_files.read(_decoded, file, stored._tile_size)
    if array.shape[2] < max(layout.colours, (layout.alpha or 0) + 1):
        raise ValueError("it has fewer channels than its header says")
    wanted = [*range(layout.colours), *([] if layout.alpha is None else [layout.alpha])]
    if wanted != [*range(array.shape[2])]:
        array = array[..., wanted]
    if layout.photometric in _LABS:
        ranges = stored.tag_v2.get(_DECODE, _ITU_RANGES)
        return _of_lab(array, layout, [float(one) for one in ranges])
    joined = _unsigned(array)
    if layout.photometric == _WHITE_IS_ZERO:
        # Of premultiplied levels the highest is alpha.
        white = joined[..., 1:] if layout.is_premultiplied else layout.highest
        joined[..., :1] = white - np.minimum(joined[..., :1], white)
    if layout.photometric == _SEPARATED:
        return _of_inks(joined, layout, image.info.get("icc_profile"))
    if layout.bits == 8:
        return _in_8_bits(joined, premultiplied=layout.is_premultiplied), ()
    return deep_files.in_16_bits(joined, premultiplied=layout.is_premultiplied)


def _decoded(data: bytes) -> NDArray[Any]:
    """The first page as (height, width, channels)."""
    import numpy as np
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as pages:
        page: Any = pages.pages[0]
        planes, _, height, width, samples = page.shaped
        array = page.asarray(maxworkers=1).reshape(planes, height, width, samples)
    found: NDArray[Any] = np.moveaxis(array, 0, 2).reshape(height, width, planes * samples)
    native = found.dtype.newbyteorder("=")
    return np.require(found, native, ["C_CONTIGUOUS", "WRITEABLE"])


def _unsigned(array: NDArray[Any]) -> NDArray[Any]:
    """Signed numbers as unsigned: the lowest is black (section 19, SMinSampleValue's default).

    In place.
    """
    import numpy as np

    if array.dtype.kind != "i":
        return array
    unsigned = np.dtype(f"u{array.dtype.itemsize}")
    flipped: NDArray[Any] = array.view(unsigned)
    flipped ^= unsigned.type(1 << 8 * unsigned.itemsize - 1)
    return flipped


def _in_8_bits(array: NDArray[np.uint8], *, premultiplied: bool) -> Image.Image:
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[array.shape[2]]
    stored = mode.replace("A", "a") if premultiplied else mode
    image = Image.frombytes(stored, array.shape[1::-1], array.tobytes())
    return image.convert(mode) if premultiplied else image


def _of_inks(array: NDArray[Any], layout: Layout, icc: bytes | None) -> PixelsAndNotices:
    """CMYK in 8 bits; with alpha RGBA in sRGB, because nothing else has inks with alpha."""
    import numpy as np

    levels = np.empty(array.shape, np.uint8)
    highest = layout.highest
    for row, target in zip(array, levels, strict=True):
        exact = np.clip(np.nan_to_num(row.astype(np.float64) / highest), 0, 1)
        if layout.is_premultiplied:
            exact[:, :4] = np.minimum(exact[:, :4] / np.maximum(exact[:, 4:], 1e-9), 1)
        target[:] = np.rint(exact * 255)
    inks = Image.frombytes("CMYK", array.shape[1::-1], levels[..., :4].tobytes())
    if layout.alpha is None:
        return inks, ()
    seen = colour.to_srgb(with_sane_profile(Picture.of(inks, icc=icc), "CMYK"))
    seen.image.putalpha(Image.fromarray(levels[..., 4]))
    message = "CMYK with transparency became RGB with transparency"
    return seen.image, (*seen.notices, Notice("inks-converted", message))


# ITULab's least and greatest values (RFC 2301, 6.2.3), unless the tag Decode has others.
_DECODE: Final = 0x01B1
_ITU_RANGES: Final = (0, 100, -21_760 / 255, 21_590 / 255, -19_200 / 255, 31_800 / 255)
# ICC.1:2010, table 12: in 16 bits full lightness is less than the highest number.
_ICC_WHITE: Final = {8: 255, 16: 65_280}


def _of_lab(array: NDArray[Any], layout: Layout, ranges: Sequence[float]) -> PixelsAndNotices:
    """L*, a* and b* with or without alpha, as they are stored, in sRGB."""
    import numpy as np

    from imgbatch.imaging.deep import Deep

    if layout.form != _FLOATS:
        array = array.view(f"u{layout.bits // 8}")
    out = np.empty(array.shape, np.uint16)
    for top in range(0, array.shape[0], _ROWS):
        rows = array[top : top + _ROWS]
        exact = _lab(rows[..., :3].astype(np.float32), layout, ranges)
        out[top : top + _ROWS, :, :3] = colour.lab_to_rgb_16(exact)
    if layout.alpha is not None:
        out[..., 3] = np.rint(np.clip(array[..., 3] * (_MAXIMUM / layout.highest), 0, _MAXIMUM))
    deep = Deep(out)
    return (deep.to_8_bit() if layout.bits == 8 else deep), ()


def _lab(stored: NDArray[Any], layout: Layout, ranges: Sequence[float]) -> NDArray[Any]:
    """L* from 0 to 100, a* and b*, from what is stored (section 23, and the notes above)."""
    import numpy as np

    if layout.form == _FLOATS:
        return stored
    count, unit = 1 << layout.bits, 1 << layout.bits - 8
    found = np.empty_like(stored)
    if layout.photometric == _ITU_LAB:
        low, high = np.array([ranges[::2], ranges[1::2]], np.float32)
        found[:] = low + stored * ((high - low) / (count - 1))
        return found
    colours = stored[..., 1:]
    if layout.photometric == _CIE_LAB:
        found[..., 0] = stored[..., 0] * (100 / (count - 1))
        found[..., 1:] = np.where(colours >= count // 2, colours - count, colours) / unit
    else:
        found[..., 0] = stored[..., 0] * (100 / _ICC_WHITE[layout.bits])
        found[..., 1:] = colours / unit - 128
    return found
