"""AVIF, still and animated: libavif composes the frames."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

from msgspec.structs import replace
from PIL import AvifImagePlugin, Image

from imgbatch.imaging.codecs import beside
from imgbatch.imaging.codecs.base import PLAIN_MODES, Codec, Options, restored
from imgbatch.imaging.colour import icc, implied
from imgbatch.imaging.containers import isobmff
from imgbatch.imaging.fitting import Curve
from imgbatch.imaging.metadata import writing
from imgbatch.imaging.metadata.exif import PREFIX
from imgbatch.imaging.own_settings import in_each_thread
from imgbatch.imaging.series import animated, frames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgbatch.imaging.deep import Deep
    from imgbatch.imaging.metadata.exif import Exif
    from imgbatch.imaging.modes import PixelsAndNotices
    from imgbatch.imaging.picture import Metadata, Picture
    from imgbatch.model import Encoding, Notice, Size

# One thread: the workers already share the processors between them.
_THREADS: Final = 1
in_each_thread(AvifImagePlugin, "DEFAULT_MAX_THREADS")

_EXIF: Final = b"Exif"
_UNKNOWN: Final = b"skip"
_APERTURE: Final = "imgbatch: clean aperture"

_SPEED: Final = 8
# Slower ones look ahead over 30 frames, for ten times as long and 30 bytes per pixel each.
_SPEED_OF_FRAMES: Final = 7


class Avif(Codec):
    """AVIF (AV1-ISOBMFF, ISO 23000-22)."""

    pillow = "AVIF"
    holds_code_points = True
    curve = Curve(
        ((1, -2.8), (25, -1.73), (45, -0.86), (70, 0.0), (90, 0.74), (97, 1.23), (100, 1.8)),
        0.62,
        close=0.96,
    )

    def open(self, file: BinaryIO) -> Image.Image:
        image = super().open(file)
        moves = getattr(image, "is_animated", False)
        box = None if moves else isobmff.clean_aperture(file, image.size)
        if box is not None:
            # Pillow shows all there is.
            image.info[_APERTURE] = _Aperture(image.size, box)
            image._size = (box[2] - box[0], box[3] - box[1])
        return image

    def loadable(self, image: Image.Image, file: BinaryIO) -> Image.Image:
        image._size = _whole(image)
        return image

    def open_damaged(self, file: BinaryIO) -> Image.Image | None:
        # Pillow looks into EXIF, and fails on some broken blocks.
        file.seek(0)
        data = bytearray(file.read())
        places = [place for kind, place in isobmff.item_types(file) if kind == _EXIF]
        for place in places:
            data[place : place + len(_EXIF)] = _UNKNOWN
        if not places:
            return None
        image = self.open(BytesIO(data))
        image.info["exif"] = PREFIX + b"no block that can be read"
        return image

    def channel_bits(self, image: Image.Image, file: BinaryIO) -> int:
        # high_bitdepth and twelve_bit.
        with restored(file):
            flags = isobmff.av1_configuration(file)[2:3]
        if not flags or not flags[0] & 0x40:
            return 0
        return 12 if flags[0] & 0x20 else 10

    def animation(self, image: Image.Image, file: BinaryIO) -> frames.Animation | None:
        with restored(file):
            found = frames.by_its_library(image)
            if found is None:
                return None
            file.seek(0)
            return replace(found, plays=isobmff.plays(file.read()))

    def uncarried(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        return beside.in_boxes(file)

    def profile(
        self, image: Image.Image, file: BinaryIO, exif: Exif | None
    ) -> tuple[bytes | None, tuple[Notice, ...]]:
        own, _ = super().profile(image, file, exif)
        return (own, ()) if own is not None else implied.coded(isobmff.code_points(file))

    def pixels(self, image: Image.Image, file: BinaryIO, *, salvage: bool) -> PixelsAndNotices:
        pixels, notices = super().pixels(image, file, salvage=salvage)
        return _shown(pixels, image), notices

    def reads_deep(self, image: Image.Image, file: BinaryIO) -> bool:
        return image.mode in PLAIN_MODES

    def deep_pixels(self, image: Image.Image, file: BinaryIO) -> PixelsAndNotices:
        from imgbatch.imaging import deep_files

        bits = self.channel_bits(image, file)

        def decode(data: bytes) -> NDArray[Any]:
            import imagecodecs

            levels = imagecodecs.avif_decode(data, numthreads=_THREADS)
            return deep_files.from_bits(levels, bits)

        pixels, notices = deep_files.in_16_bits(deep_files.read(decode, file, _whole(image)))
        return _shown(pixels, image), notices

    def metadata_options(self, kept: Metadata) -> Options:
        # Pillow would remove the orientation itself, and rewrite the whole block for that.
        return super().metadata_options(writing.without_orientation(kept))

    def options(self, picture: Picture, encoding: Encoding) -> Options:
        wanted: Options = {
            "quality": encoding.quality or self.row.quality,
            "speed": _SPEED if encoding.effort is None else 11 - encoding.effort,
            "max_threads": _THREADS,
        }
        if encoding.subsampling:
            wanted["subsampling"] = encoding.subsampling
        return wanted

    def encoded(self, image: Image.Image, options: Options, encoding: Encoding) -> bytes:
        options, points = icc.without_high_range(options)
        data = super().encoded(image, options, encoding)
        return isobmff.with_code_points(data, *points) if points else data

    def animated(
        self,
        images: Sequence[Image.Image],
        durations: Sequence[float],
        plays: int,
        options: Options,
        encoding: Encoding,
    ) -> bytes:
        options = options | {"speed": max(_SPEED_OF_FRAMES, options.get("speed", 0))}
        options, points = icc.without_high_range(options)
        data = animated.saved(images, durations, self.pillow, options)
        if points:
            data = isobmff.with_code_points(data, *points)
        return isobmff.with_plays(isobmff.without_times(data), plays)

    # Memory

    def decoder_bytes(self, image: Image.Image, size: Size, file: BinaryIO, stored: int) -> float:
        whole = _whole(image)
        taken = super().decoder_bytes(image, whole, file, stored)
        # What is cropped is decoded, too.
        return taken + (whole[0] * whole[1] * stored if whole != size else 0)

    def deep_arrays(self, image: Image.Image) -> float:
        (width, height), (across, down) = _whole(image), image.size
        return super().deep_arrays(image) * width * height / (across * down)


class _Aperture(NamedTuple):
    """A picture's size before it is cropped, and the part that is shown."""

    whole: Size
    box: tuple[int, int, int, int]


def _whole(image: Image.Image) -> Size:
    aperture: _Aperture | None = image.info.get(_APERTURE)
    return image.size if aperture is None else aperture.whole


def _shown(pixels: Image.Image | Deep, image: Image.Image) -> Image.Image | Deep:
    aperture: _Aperture | None = image.info.get(_APERTURE)
    return pixels if aperture is None else pixels.crop(aperture.box)


CODEC: Final = Avif()
