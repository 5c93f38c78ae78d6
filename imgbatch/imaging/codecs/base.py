"""The contract between imgbatch and the formats of files, with a default for everything.

A codec is a class that inherits from `Codec`, in the module that the format's row in
`formats.FORMATS` names, with one instance called `CODEC`. That module is imported only when a file
of the format is opened or written, and loads Pillow's plugin for it. The defaults suit a format
that Pillow reads and writes as it is; what a format does its own way overrides them, and says why.

An image is Pillow's, opened by the same codec and not loaded unless a method says so. Methods that
read a file restore its position, except where they say otherwise. They raise whatever Pillow or a
library does; whoever calls them has words for that (`opening.reading`, `encode`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from PIL import Image

from imgbatch.imaging import formats, modes
from imgbatch.imaging.formats import Format
from imgbatch.imaging.metadata.exif import PREFIX
from imgbatch.imaging.picture import Coding, Metadata, Picture
from imgbatch.model import Notice

if TYPE_CHECKING:
    from imgbatch.imaging.deep import Deep
    from imgbatch.imaging.fitting import Curve
    from imgbatch.imaging.metadata.exif import Exif
    from imgbatch.imaging.modes import PixelsAndNotices
    from imgbatch.imaging.series.frames import Animation
    from imgbatch.imaging.series.pages import Pages
    from imgbatch.model import Encoding, Size

Options = dict[str, Any]
"""Keyword arguments of Pillow's `save`."""

PLAIN_MODES: Final = frozenset({"L", "LA", "RGB", "RGBA"})
"""The modes in which Pillow opens pictures that may have more than 8 bits per channel."""

VIDEO: Final = Notice("video-dropped", "the video of a motion photo was dropped")

_PLAIN_BITS: Final = 8


class Codec:
    """What a format does its own way. `pillow` is Pillow's name for it."""

    pillow: str

    row: Format
    """The row in the table that names this codec; `formats.codec` sets it."""

    # Opening

    allocates: bool = False
    """Whether opening a file takes memory for its pixels, so that Pillow must know the limit."""

    def thinned(self, file: BinaryIO) -> tuple[BinaryIO, tuple[Notice, ...]]:
        """A file with no more besides its pixels than is read, and warnings about the rest.

        Only where Pillow would take forever, or refuse the picture. The position is not restored.
        """
        return file, ()

    def open(self, file: BinaryIO) -> Image.Image:
        """The image in a file, which is at its beginning."""
        return Image.open(file, formats=(self.pillow,))

    def open_preview(self, file: BinaryIO) -> Image.Image:
        """The JPEG that a camera has put into its raw file; for others the same as `open`."""
        return self.open(file)

    def open_damaged(self, file: BinaryIO) -> Image.Image | None:
        """The image in a file that `open` rejects, as far as it can be had; None if it cannot.

        Raises PictureError if something is missing in this installation.
        """
        return None

    def unsupported(self, file: BinaryIO, *, opened: bool) -> str | None:
        """The words for a kind of file that cannot be read ("with 12 bits"), None if it can be.

        Asked about files that seem broken, either once `opened` or because they could not be. The
        position is not restored. Raises anything if the header is broken.
        """
        return None

    def inner(self, image: Image.Image) -> Codec:
        """The codec for an opened image: for the preview in a raw file it is another one."""
        return self

    def loadable(self, image: Image.Image, file: BinaryIO) -> Image.Image:
        """The image to load, if `open` gave only a header. The position is not restored."""
        return image

    # What the header tells

    upright: bool = False
    """Whether loading turns pixels upright, so that orientations in metadata no longer apply."""

    def is_turned(self, image: Image.Image) -> bool:
        """Whether loading turns the pixels of this image, or has turned them."""
        return self.turned_from(image) != 1

    def turned_from(self, image: Image.Image) -> int:
        """The orientation (EXIF) from which loading turns this image, or has turned it."""
        orientation: int = image.info.get("original_orientation") or 1
        return orientation

    def channel_bits(self, image: Image.Image, file: BinaryIO) -> int:
        """The bits per channel of colours in the file; 0 if they are no more than 8."""
        return 0

    def lost_bits(self, image: Image.Image, file: BinaryIO) -> int:
        """The bits per channel of which Pillow would keep 8; 0 if it keeps them all, as in grey."""
        if image.mode.startswith("I"):
            return 0
        bits = self.channel_bits(image, file)
        return bits if bits > _PLAIN_BITS else 0

    def left_behind(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        """Warnings about what is in the file besides one picture, and is not read."""
        return ()

    def uncarried(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        """Warnings about what else is in the file and concerns no pixels (see `beside`)."""
        return ()

    def coding(self, image: Image.Image, orientation: int) -> Coding | None:
        """How pixels are coded that will be turned by an orientation, for outputs of this size."""
        if image.mode in ("P", "1"):
            return Coding(palette=image.mode == "P", bilevel=image.mode == "1")
        return None

    def animation(self, image: Image.Image, file: BinaryIO) -> Animation | None:
        """The animation in a file; None if nothing distinguishes it from a still."""
        return None

    def pages(self, file: BinaryIO) -> Pages | None:
        """The pages of a document; None if it has only one. Raises PictureError for too many."""
        return None

    # Colour

    def profile(
        self, image: Image.Image, file: BinaryIO, exif: Exif | None
    ) -> tuple[bytes | None, tuple[Notice, ...]]:
        """The ICC profile, its own or what else the file says about its colours; None means sRGB.

        With warnings.
        """
        return image.info.get("icc_profile") or None, ()

    def may_colour_grey(self, image: Image.Image, file: BinaryIO) -> bool:
        """Whether `profile` may imply one for colours, though the pixels are grey."""
        return type(self).profile is not Codec.profile

    # Pixels

    def draft(self, image: Image.Image, least: Size) -> Size:
        """Ask the decoder for fewer pixels, but at least `least`; returns how many it will give."""
        return image.size

    def load(self, image: Image.Image, *, salvage: bool) -> tuple[Notice, ...]:
        """Load an opened image, and return warnings.

        With `salvage` a file that is cut short or damaged gives what there is.
        """
        image.load()
        return ()

    def pixels(self, image: Image.Image, file: BinaryIO, *, salvage: bool) -> PixelsAndNotices:
        """The pixels in a mode that a `Picture` has, with warnings; the image is loaded afterwards.

        `salvage` is as in `load`.
        """
        notices = self.load(image, salvage=salvage)
        pixels, more = modes.in_working_mode(image, self.grey_levels)
        # Only pixels: the plugin's own image would keep its decoder's frames alive.
        return (image._new(image.im) if pixels is image else pixels), notices + more

    def grey_levels(self, image: Image.Image) -> modes.GreyLevels:
        """What the levels of a loaded grey image with more than 8 bits mean."""
        return modes.GreyLevels()

    def reads_deep(self, image: Image.Image, file: BinaryIO) -> bool:
        """Whether `deep_pixels` can read this image; the extra `deep` is installed."""
        return False

    def deep_pixels(self, image: Image.Image, file: BinaryIO) -> PixelsAndNotices:
        """All bits of the channels for which Pillow has no mode, with warnings.

        Grey comes as an image in mode I;16. The position is not restored. Raises EOFError if the
        file is cut short, ValueError if it is broken.
        """
        raise ValueError(f"{self.row.label} has no pixels that only this could read")

    def with_all_metadata(self, image: Image.Image, file: BinaryIO) -> Image.Image | None:
        """A loaded image that knows what the file has after its pixels; None if it has nothing."""
        return None

    # Metadata that are read, unchanged

    exif_apart: bool = True
    """Whether EXIF is a block of its own. In a TIFF it is the file's own directory."""

    def exif(self, image: Image.Image) -> tuple[bytes | None, tuple[Notice, ...]]:
        """The EXIF block without its prefix, and warnings. Raises ValueError if it is broken."""
        raw: Any = image.info.get("exif")
        return (raw.removeprefix(PREFIX) if isinstance(raw, bytes) and raw else None), ()

    def xmp(self, image: Image.Image) -> bytes | None:
        """The XMP packet."""
        raw: Any = image.info.get("xmp")
        if isinstance(raw, str):
            raw = raw.encode("utf-8")
        return raw if isinstance(raw, bytes) else None

    def extended_xmp(self, image: Image.Image, packet: bytes) -> bytes | None:
        """The continuation of a packet. Raises ValueError if a part of it is missing."""
        return None

    def iptc(self, image: Image.Image) -> bytes | None:
        """The records of IPTC-IIM."""
        return None

    def paths(self, image: Image.Image) -> bytes | None:
        """Photoshop's image resources for paths, as they are in the file."""
        return None

    def comments(self, image: Image.Image) -> Iterator[bytes | str]:
        """The comments: bytes in an unknown encoding, or text."""
        raw: Any = image.info.get("comment")
        if isinstance(raw, bytes | str):
            yield raw

    def texts(self, image: Image.Image) -> tuple[tuple[str, str], ...]:
        """Texts by keyword, without those that are read as something else."""
        return ()

    def dpi(self, image: Image.Image) -> tuple[float, float] | None:
        """Pixels per inch across and down, from a field of its own."""
        try:
            across, down = (float(number) for number in image.info["dpi"])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None
        return across, down

    # Metadata that are written

    has_texts: bool = False
    """Whether it can hold texts by keyword."""

    comment_bytes: int | None = None
    """How many bytes a comment may have, if that is limited."""

    def shortened(self, kept: Metadata) -> tuple[Metadata, tuple[Notice, ...]]:
        """Metadata cut to what the format's fields hold, and warnings about the rest."""
        return kept, ()

    def metadata_options(self, kept: Metadata) -> Options:
        """Pillow's arguments for metadata, all of which the format holds."""
        found: Options = {}
        if kept.dpi:
            found["dpi"] = kept.dpi
        if kept.exif:
            found["exif"] = kept.exif.tobytes()
        if kept.xmp:
            found["xmp"] = kept.xmp
        if kept.comment:
            found["comment"] = kept.comment.encode("utf-8")
        return found

    def finished(self, data: bytes, kept: Metadata) -> tuple[bytes, tuple[Notice, ...]]:
        """A file from the encoder with the metadata that Pillow could not write, and warnings."""
        return data, ()

    # Encoding

    times_stills: bool = False
    """Whether a still has a duration: then it is written by `animated`."""

    holds_code_points: bool = False
    """Whether it can hold PQ and HLG by their code points of ITU-T H.273, in place of a profile."""

    has_palettes: bool = False
    has_bilevel: bool = False
    """Whether it has palettes, or one bit per pixel, in which a picture may stay."""

    indexed_modes: frozenset[str] = frozenset()
    """RGB, and RGBA, if pictures in these modes can get a palette (`Encoding.colours`)."""

    curve: Curve | None = None
    """How bytes grow with quality, if there is a quality to find."""

    def can_encode(self) -> bool:
        """Whether this installation's libraries can write the format."""
        return True

    def is_lossy(self, encoding: Encoding) -> bool:
        """Whether the encoder changes pixels, so that colours mix with those next to them."""
        return self.row.quality is not None and not encoding.lossless

    def accepted_modes(self, encoding: Encoding) -> frozenset[str]:
        """The modes of pixels that are encoded as they are, in this installation."""
        row = self.row
        return row.modes | row.deep_modes if formats.installed("deep") else row.modes

    def warned(self, picture: Picture) -> Picture:
        """A picture with warnings about what it loses in ways that only this format knows.

        Its depth, inks, profile and alpha are already such that the format holds them.
        """
        return picture

    def options(self, picture: Picture, encoding: Encoding) -> Options:
        """Pillow's arguments for the settings, as far as they concern pixels."""
        return {}

    def encoded(self, image: Image.Image, options: Options, encoding: Encoding) -> bytes:
        """A file of a loaded image, with nothing in its `info`.

        It is in one of the row's `modes`, or in P or 1 if the format has that. `options` are those
        for pixels, metadata and profile.
        """
        buffer = BytesIO()
        image.save(buffer, self.pillow, **options)
        return buffer.getvalue()

    def deep_encoded(self, deep: Deep, options: Options) -> bytes:
        """A file of pixels in one of the row's `deep_modes`."""
        raise ValueError(f"{self.row.label} has no pixels with 16 bits per channel")

    def animated(
        self,
        images: Sequence[Image.Image],
        durations: Sequence[float],
        plays: int,
        options: Options,
        encoding: Encoding,
    ) -> bytes:
        """An animation of loaded images of one size, in one mode: L, LA, RGB or RGBA.

        Each is shown for its duration in milliseconds, all of them `plays` times, 0 for ever.
        `options` are those of the first; what they have besides settings belongs to the whole.
        """
        raise ValueError(f"{self.row.label} has no animations")

    def joined(self, pages: Sequence[bytes]) -> bytes:
        """A document of files with one page each."""
        raise ValueError(f"{self.row.label} has no pages")

    # Files of other formats, kept whole

    recodes: frozenset[str] = frozenset()
    """The names of formats whose files it can hold whole: recoded without decoding, and back."""

    def recoded(self, data: bytes, source: Format, encoding: Encoding) -> bytes | None:
        """A file of the same picture as that in a file of a format that it `recodes`.

        `original` gives that file back. None if it cannot be done, or is not what `encoding` asks
        for, in which nothing but `lossless` and `effort` is set.
        """
        return None

    def original(self, data: bytes, target: Format) -> bytes | None:
        """The very file in another format that a file of this one was recoded from, or None."""
        return None

    def told(self) -> str:
        """What else `imgbatch formats` and `doctor` tell, in a line; empty if nothing."""
        return ""

    # Memory: bounds, in bytes

    def decoder_bytes(self, image: Image.Image, size: Size, file: BinaryIO, stored: int) -> float:
        """What the decoder takes besides the pixels and the file.

        `size` is that in the file, which has `stored` bytes per pixel in Pillow's mode.
        """
        row = self.row
        # Pillow decodes plain bytes row by row.
        beside = row.decoding * stored if row.opened_in_c or tile_codec(image) != "raw" else 0
        return size[0] * size[1] * beside

    def reads_in_parts(self, image: Image.Image) -> bool:
        """Whether the decoder never holds the whole file."""
        return False

    def deep_arrays(self, image: Image.Image) -> float:
        """How many arrays of 16 bits exist at once while `deep_pixels` reads an image."""
        # As decoded, in order, and turned.
        return 3.0

    def working_mode(self, image: Image.Image) -> str:
        """The mode of the pixels without transparency, or one that takes more memory."""
        return modes.worked_on(image.mode)


def tile_codec(image: Image.Image) -> str:
    """The name of Pillow's decoder for the first tile of an image; empty if there is none."""
    tiles: Any = getattr(image, "tile", None)
    return tiles[0].codec_name if tiles else ""


@contextmanager
def restored(file: BinaryIO) -> Iterator[BinaryIO]:
    """A context that moves a file back to where it was."""
    place = file.tell()
    try:
        yield file
    finally:
        file.seek(place)
