"""HEIC, through the extra `heif` (pillow-heif): its plugin for Pillow, and 10 bits per channel.

libheif turns and crops as the file says, so pictures come upright.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import pillow_heif
from PIL import Image

from imgbatch.imaging.codecs import beside
from imgbatch.imaging.codecs.base import PLAIN_MODES, Codec, Options
from imgbatch.imaging.colour import icc, implied
from imgbatch.imaging.fitting import Curve
from imgbatch.imaging.metadata import writing
from imgbatch.imaging.modes import GreyLevels
from imgbatch.model import Notice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgbatch.imaging.deep import Deep
    from imgbatch.imaging.metadata.exif import Exif
    from imgbatch.imaging.modes import PixelsAndNotices
    from imgbatch.imaging.picture import Metadata, Picture
    from imgbatch.model import Encoding

# One thread: the workers already share the processors between them. An embedded thumbnail is
# never taken for the picture.
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False)

# By effort, 1 to 10. Slower ones save a few percent; the two fastest make files a third larger.
_X265_PRESETS: Final = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
_X265_EFFORT: Final = 3

_BITS: Final = 10


class Heif(Codec):
    """HEIC (ISO 23008-12)."""

    pillow = "HEIF"
    # Whatever XMP repeats of what the container says (6.5.10).
    upright = True
    holds_code_points = True
    curve = Curve(
        (
            *((1, -4.0), (25, -2.6), (45, -1.38), (60, -0.57), (70, 0.0)),
            *((78, 0.43), (90, 0.74), (95, 0.78), (100, 0.78)),
        ),
        1.9,
        close=0.96,
    )

    def channel_bits(self, image: Image.Image, file: BinaryIO) -> int:
        bits = image.info.get("bit_depth", 0)
        return bits if isinstance(bits, int) else 0

    def left_behind(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        notices: tuple[Notice, ...] = ()
        count = getattr(image, "n_frames", 1)
        if count > 1:
            message = f"only the main one of {count} pictures was kept"
            notices += (Notice("frames-dropped", message),)
        if image.info.get("aux") or image.info.get("depth_images"):
            message = "a second picture in the file (gain map, depth map) was dropped"
            notices += (Notice("gain-map-dropped", message),)
        return notices

    def uncarried(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        return beside.in_boxes(file)

    def profile(
        self, image: Image.Image, file: BinaryIO, exif: Exif | None
    ) -> tuple[bytes | None, tuple[Notice, ...]]:
        own, _ = super().profile(image, file, exif)
        found = image.info.get("nclx_profile") or {}
        points = (found.get("color_primaries", 2), found.get("transfer_characteristics", 2))
        return (own, ()) if own is not None else implied.coded(points)

    # Pixels

    def grey_levels(self, image: Image.Image) -> GreyLevels:
        # pillow-heif has them in the upper bits.
        bits = image.info.get("bit_depth", 16)
        return GreyLevels(bits, shift=16 - bits)

    def reads_deep(self, image: Image.Image, file: BinaryIO) -> bool:
        return image.mode in PLAIN_MODES

    def deep_pixels(self, image: Image.Image, file: BinaryIO) -> PixelsAndNotices:
        from imgbatch.imaging import deep_files

        return deep_files.in_16_bits(deep_files.read(_levels, file, image.size))

    # Encoding

    def can_encode(self) -> bool:
        return bool(pillow_heif.libheif_info()["HEIF"])

    def warned(self, picture: Picture) -> Picture:
        if picture.deep is None or picture.bits <= _BITS:
            return picture
        message = f"{picture.bits}-bit colours were reduced to {_BITS} bits for HEIC"
        return picture.with_notice("depth-reduced", message)

    def metadata_options(self, kept: Metadata) -> Options:
        # Pixels are upright; the plugin would turn them back.
        return super().metadata_options(writing.without_orientation(kept))

    def options(self, picture: Picture, encoding: Encoding) -> Options:
        preset = _X265_PRESETS[(encoding.effort or _X265_EFFORT) - 1]
        # One thread, as above; there is no other limit to what x265 takes for itself.
        wanted: Options = {
            "quality": encoding.quality or self.row.quality,
            "enc_params": {"preset": preset, "x265:pools": "none", "x265:frame-threads": "1"},
        }
        if encoding.lossless:
            # -1 is its code for lossless; the colours must not be converted (H.273, 0).
            return wanted | {"quality": -1, "chroma": "444", "matrix_coefficients": 0}
        if encoding.subsampling:
            wanted["chroma"] = encoding.subsampling.replace(":", "")
        return wanted

    def encoded(self, image: Image.Image, options: Options, encoding: Encoding) -> bytes:
        return super().encoded(image, _with_code_points(options), encoding)

    def deep_encoded(self, deep: Deep, options: Options) -> bytes:
        """A file with 10 bits per channel, rounded."""
        import numpy as np

        buffer = BytesIO()
        levels = np.empty_like(deep.array)
        # Row by row, because the products take four bytes. It takes the upper 10 of 16 bits.
        for row, target in zip(deep.array, levels, strict=True):
            target[:] = (row.astype(np.uint32) * 1023 + 32_767) // 65_535 << 6
        pillow_heif.encode(
            deep.mode, deep.size, levels.tobytes(), buffer, **_with_code_points(options)
        )
        return buffer.getvalue()


def _with_code_points(options: Options) -> Options:
    """With the code points of a profile of PQ or HLG in place of it."""
    others, points = icc.without_high_range(options)
    if points is None:
        return others
    return others | {
        "color_primaries": points.primaries,
        "transfer_characteristics": points.transfer,
    }


def _levels(data: bytes) -> NDArray[Any]:
    """The main picture as (height, width, channels) of uint16, with alpha not premultiplied."""
    import numpy as np

    from imgbatch.imaging import deep_files

    file: Any = pillow_heif.open_heif(BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    image = file[file.primary_index]
    array = deep_files.from_bits(np.asarray(image), image.info["bit_depth"])
    return deep_files.straight(array) if image.premultiplied_alpha else array


CODEC: Final = Heif()
