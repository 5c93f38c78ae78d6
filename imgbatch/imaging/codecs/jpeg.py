"""JPEG, and MPO: JPEGs with more pictures behind the first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from msgspec.structs import replace
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from imgbatch.imaging.codecs import jpeg_native, jpeg_pixels
from imgbatch.imaging.codecs.base import VIDEO, Codec, Options, restored
from imgbatch.imaging.colour import implied
from imgbatch.imaging.containers import jpeg, photoshop
from imgbatch.imaging.fitting import Curve
from imgbatch.imaging.metadata import iptc, xmp
from imgbatch.imaging.metadata.exif import PREFIX, Exif
from imgbatch.imaging.picture import Coding, Metadata
from imgbatch.model import Notice
from imgbatch.plurals import counted

if TYPE_CHECKING:
    from imgbatch.imaging.picture import Picture
    from imgbatch.model import Encoding, Size

# Most of a progressive JPEG's time is not spent on pixels, so fewer of them save little; and a
# decoder that leaves hardly more than needed costs up to 1.8 dB.
_RESERVE: Final = 1.5

_FULL, _HALF_ACROSS, _QUARTER = range(3)
_SUBSAMPLING: Final = {"4:4:4": _FULL, "4:2:2": _HALF_ACROSS, "4:2:0": _QUARTER}
_FINE_QUALITY: Final = 90
_OPTIMISED_EFFORT: Final = 6

# Bits that Pillow does not read, and channels that it reads or that are broken (ITU-T T.81, B.2.2);
# coding processes that libjpeg does not know (table B.1).
_OTHER_BITS: Final = frozenset(range(2, 17)) - {8}
_CHANNELS: Final = frozenset({0, 1, 3, 4})
_PROCESSES: Final = {
    **dict.fromkeys((0xC5, 0xC6, 0xC7), "hierarchical"),
    0xCB: "lossless and arithmetic",
    **dict.fromkeys((0xCD, 0xCE, 0xCF), "hierarchical and arithmetic"),
}

_EXIF_ROOM: Final = jpeg.MAX_BYTES - len(PREFIX)
_XMP_ROOM: Final = jpeg.MAX_BYTES - len(jpeg.XMP)

_SECOND: Final = Notice(
    "gain-map-dropped",
    "a second picture in the file (gain map, preview or other view) was dropped",
)
_ENTRIES: Final = 0xB002
_SOUND: Final = Notice("extras-dropped", "the sound in the file was dropped")
# Types of data in Samsung's trailer: exiftool's EmbeddedVideo and SurroundShotVideo;
# EmbeddedImage, DualCameraImage and two depth maps; EmbeddedAudioFile.
_SAMSUNG_VIDEOS: Final = frozenset({0x0201, 0x0A30})
_SAMSUNG_PICTURES: Final = frozenset({0x0001, 0x0A20, 0x0AB1, 0x0B41})
_SAMSUNG_SOUNDS: Final = frozenset({0x0100})
# Where Pillow puts image resources: a sign that there are some.
_PHOTOSHOP: Final = "photoshop"
# Segments that need no look into the table of all (`beside`).
_USUAL: Final = {
    "APP0": b"JFIF\0",
    "APP1": (jpeg.EXIF, jpeg.XMP, jpeg.EXTENSION),
    "APP2": (jpeg.ICC, b"MPF\0"),
    "APP14": b"Adobe",
    "COM": b"",
}
_NONE: Final = b"\0no segment begins like this"

_CURVE: Final = Curve(
    # From quality 90 up chroma is no longer halved.
    (
        *((1, -1.5), (20, -0.75), (40, -0.4), (60, -0.16), (75, 0.09)),
        *((85, 0.4), (89, 0.58), (90, 0.93), (95, 1.34), (100, 2.35)),
    ),
    0.71,
)


class Jpeg(Codec):
    """JPEG."""

    pillow = "JPEG"
    curve = _CURVE
    comment_bytes = jpeg.MAX_BYTES

    # Opening

    def open(self, file: BinaryIO) -> Image.Image:
        image = super().open(file)
        if "icc_profile" in image.info:
            # Pillow counts pieces, and does not look at their numbers.
            image.info["icc_profile"] = jpeg.joined_icc(_payloads(image, "APP2"))
        return image

    def thinned(self, file: BinaryIO) -> tuple[BinaryIO, tuple[Notice, ...]]:
        file, count = jpeg.thinned(file)
        what = counted(count, "segment", spec=",")
        message = f"{what} before the picture dropped: there are too many to read"
        return file, (Notice("metadata-dropped", message),) if count else ()

    def open_damaged(self, file: BinaryIO) -> Image.Image | None:
        # Pillow looks into EXIF, and fails on some broken blocks. `exif` finds it nevertheless.
        file.seek(0)
        data, block = jpeg.without_exif(file.read())
        if not block:
            return None
        image = self.open(BytesIO(data))
        found: Any = image
        found.applist = [one for one in found.applist if not one[1].startswith(jpeg.HIDDEN)]
        image.info["exif"] = PREFIX + block
        return image

    def unsupported(self, file: BinaryIO, *, opened: bool) -> str | None:
        marker, bits, channels = jpeg.frame(file)
        if bits in _OTHER_BITS:
            return f"with {bits} bits per channel"
        if channels not in _CHANNELS:
            return f"with {channels} channels"
        return f"with {_PROCESSES[marker]} coding" if marker in _PROCESSES else None

    # What the header tells

    def left_behind(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        # What XMP says about a gain map or a video counts only if there is something: it often
        # outlives them.
        raw_xmp: Any = image.info.get("xmp")
        raw_xmp = raw_xmp if isinstance(raw_xmp, bytes) else b""
        video, gain_map = xmp.announces_video(raw_xmp), xmp.announces_gain_map(raw_xmp)
        several = image.format == "MPO" and _has_more_than_previews(image)
        rest = _behind(image) if video or (gain_map and not several) else b""
        notices: tuple[Notice, ...] = ()
        if several or (gain_map and b"\xff\xd8\xff" in rest):
            notices += (_SECOND,)
        if video and b"ftyp" in rest:
            notices += (VIDEO,)
        raw_exif: Any = image.info.get("exif", b"")
        if b"samsung" in raw_exif or b"SAMSUNG" in raw_exif:
            notices = tuple(dict.fromkeys(notices + _from_samsung(image)))
        return notices

    def uncarried(self, image: Any, file: BinaryIO) -> tuple[Notice, ...]:
        segments = image.applist
        for marker, payload in segments:
            if not payload.startswith(_USUAL.get(marker, _NONE)):
                break
        else:
            return ()
        from imgbatch.imaging.codecs import beside

        resources = photoshop.resources(_resources(image))
        return beside.of_segments(segments) + beside.of_resources(resources)

    def coding(self, image: Any, orientation: int) -> Coding | None:
        tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
        sampling = get_sampling(image)
        on_its_side = sampling == _HALF_ACROSS and orientation >= 5
        if on_its_side or (sampling < 0 and image.layers > 1):
            # Pillow cannot write others (4:4:0, 4:1:1 …).
            sampling = _FULL
        return Coding(tables, sampling, bool(image.info.get("progressive")))

    # Colour

    def profile(
        self, image: Image.Image, file: BinaryIO, exif: Exif | None
    ) -> tuple[bytes | None, tuple[Notice, ...]]:
        return image.info.get("icc_profile") or implied.camera(image.mode, exif), ()

    def may_colour_grey(self, image: Image.Image, file: BinaryIO) -> bool:
        return False

    # Pixels

    def draft(self, image: Image.Image, least: Size) -> Size:
        width, height = least
        if image.info.get("progressive"):
            width, height = math.ceil(width * _RESERVE), math.ceil(height * _RESERVE)
        image.draft(None, (max(1, width), max(1, height)))
        return image.size

    def load(self, image: Image.Image, *, salvage: bool) -> tuple[Notice, ...]:
        if jpeg_pixels.load(image, salvage=salvage):
            return ()
        message = "the file has no end marker, but its picture is whole"
        return (Notice("end-missing", message),)

    # Metadata that are read

    def exif(self, image: Image.Image) -> tuple[bytes | None, tuple[Notice, ...]]:
        block, more = jpeg.joined_exif(_payloads(image, "APP1"))
        if block is None:
            # It was hidden from Pillow, which failed on it (see `open_damaged`).
            hidden: Any = image.info.get("exif")
            block = hidden.removeprefix(PREFIX) if isinstance(hidden, bytes) else None
        message = "of several EXIF blocks only the first was kept"
        return block or None, (Notice("metadata-dropped", message),) if more else ()

    def extended_xmp(self, image: Image.Image, packet: bytes) -> bytes | None:
        guid = xmp.extension(packet)
        return jpeg.extended_xmp(_payloads(image, "APP1"), guid) if guid is not None else None

    def iptc(self, image: Image.Image) -> bytes | None:
        return iptc.from_resources(_resources(image)) if _PHOTOSHOP in image.info else None

    def paths(self, image: Image.Image) -> bytes | None:
        return photoshop.paths(_resources(image)) if _PHOTOSHOP in image.info else None

    def comments(self, image: Image.Image) -> Iterator[bytes | str]:
        return _payloads(image, "COM")

    def dpi(self, image: Image.Image) -> tuple[float, float] | None:
        # Without a resolution Pillow looks into EXIF, and takes broken values for 72.
        return super().dpi(image) if image.info.get("jfif_unit") in (1, 2) else None

    # Metadata that are written

    def shortened(self, kept: Metadata) -> tuple[Metadata, tuple[Notice, ...]]:
        """Shortened to fit segments: EXIF has one, and XMP one for what matters most."""
        notices = []
        if kept.exif and len(kept.exif) > _EXIF_ROOM:
            shorter: Exif | None = kept.exif.without_maker_notes()
            message = "MakerNotes were dropped: with them EXIF is too long for a JPEG"
            if shorter is not None and len(shorter) > _EXIF_ROOM:
                shorter, message = None, "EXIF is too long for a JPEG and was dropped"
            notices.append(Notice("metadata-dropped", message))
            kept = replace(kept, exif=shorter)
        if kept.xmp and len(kept.xmp) > _XMP_ROOM:
            packet, extended = _parted(kept.xmp)
            if packet is None:
                message = "XMP is too long for a JPEG and was dropped"
                notices.append(Notice("metadata-dropped", message))
            kept = replace(kept, xmp=packet, extended=extended)
        return kept, tuple(notices)

    def metadata_options(self, kept: Metadata) -> Options:
        found: Options = {}
        if kept.dpi:
            found["dpi"] = (round(kept.dpi[0]), round(kept.dpi[1]))
        if kept.exif:
            found["exif"] = PREFIX + kept.exif.tobytes()
        if kept.comment:
            found["comment"] = kept.comment.encode("utf-8")
        extra = jpeg.xmp_segments(kept.extended) if kept.extended else b""
        if kept.iptc or kept.paths:
            resources = iptc.to_resources(kept.iptc) if kept.iptc else b""
            resources += kept.paths or b""
            extra += jpeg.photoshop_segments(iptc.PHOTOSHOP, resources)
        if kept.xmp:
            found["xmp"] = kept.xmp
        if extra:
            found["extra"] = extra
        return found

    # Encoding

    def options(self, picture: Picture, encoding: Encoding) -> Options:
        quality = encoding.quality or self.row.quality or 0
        # 4:2:0 as cameras and browsers use it; full chroma if somebody asks for that quality.
        wanted: Options = {"quality": quality, "subsampling": _QUARTER}
        if quality >= _FINE_QUALITY:
            wanted["subsampling"] = _FULL
        coding = picture.coding
        if encoding.quality is None and coding is not None and coding.tables:
            # Pixels that were not resampled lose least in the steps to which they were rounded.
            wanted = {"qtables": [list(table) for table in coding.tables]}
            # Grey has none, and the encoder's default is this.
            wanted["subsampling"] = coding.subsampling if coding.subsampling >= 0 else _QUARTER
            wanted["progressive"] = coding.progressive
        if encoding.subsampling:
            wanted["subsampling"] = _SUBSAMPLING[encoding.subsampling]
        if picture.mode == "CMYK":
            # There is no chroma: Pillow would halve magenta, yellow and black.
            wanted["subsampling"] = _FULL
        if encoding.progressive:
            wanted["progressive"] = True
        if (encoding.effort or 0) >= _OPTIMISED_EFFORT:
            wanted["optimize"] = True
        return wanted

    def told(self) -> str:
        return jpeg_native.use()

    # Memory

    def decoder_bytes(self, image: Any, size: Size, file: BinaryIO, stored: int) -> float:
        # All coefficients (int16), at full size whatever the scale.
        return (
            size[0] * size[1] * 2.0 * image.layers
            if jpeg_pixels.in_several_scans(image, file)
            else 0
        )


def _resources(image: Any) -> bytes:
    """Photoshop's image resources, which may be spread over several segments."""
    prefix = iptc.PHOTOSHOP
    parts = [one for one in _payloads(image, "APP13") if one.startswith(prefix)]
    return b"".join(part[len(prefix) :] for part in parts)


def _has_more_than_previews(image: Any) -> bool:
    """Whether any of the further pictures is not just the first one in a smaller size.

    By their types in the index of the file (CIPA DC-007, 5.2.3.3.1).
    """
    entries = image.mpinfo.get(_ENTRIES) or ()
    kinds = [str(one["Attribute"]["MPType"]) for one in entries[1:]]
    return not kinds or not all(kind.startswith("Large Thumbnail") for kind in kinds)


def _from_samsung(image: Any) -> tuple[Notice, ...]:
    """Warnings about what Samsung's telephones have appended to a picture."""
    with restored(image.fp) as file:
        trailer = jpeg.samsung_trailer(file)
    parts = trailer.kinds if trailer is not None else frozenset()
    video = (VIDEO,) if parts & _SAMSUNG_VIDEOS else ()
    second = (_SECOND,) if parts & _SAMSUNG_PICTURES else ()
    return video + second + ((_SOUND,) if parts & _SAMSUNG_SOUNDS else ())


def _behind(image: Any) -> bytes:
    with restored(image.fp) as file:
        file.seek(0)
        return jpeg.behind(file.read())


def _payloads(image: Any, name: str) -> Iterator[bytes]:
    return (payload for kind, payload in getattr(image, "applist", ()) if kind == name)


def _parted(packet: bytes) -> tuple[bytes, bytes] | tuple[None, None]:
    try:
        return xmp.parted(packet, _XMP_ROOM) or (None, None)
    except ValueError:
        return None, None


CODEC: Final = Jpeg()
