"""GIF: composed and written as browsers show it, because Pillow does neither exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from PIL import (
    GifImagePlugin,  # noqa: F401
    Image,
)

from imgbatch.imaging import colour
from imgbatch.imaging.codecs import beside
from imgbatch.imaging.codecs.base import Codec, Options, restored
from imgbatch.imaging.containers import gif
from imgbatch.imaging.series import frames
from imgbatch.model import Notice

if TYPE_CHECKING:
    from imgbatch.imaging.picture import Picture
    from imgbatch.model import Encoding

_XMP: Final = b"XMP DataXMP"
_XMP_TRAILER: Final = b"\x01\xff\xfe\xfd"
_NAMES: Final = "imgbatch: extensions"
_DISPOSALS: Final = {gif.CLEAR: frames.CLEAR, gif.RESTORE: frames.RESTORE}


class Gif(Codec):
    """GIF (89a)."""

    pillow = "GIF"
    times_stills = True

    def thinned(self, file: BinaryIO) -> tuple[BinaryIO, tuple[Notice, ...]]:
        file, count = gif.without_long_comments(file)
        message = f"comments of {count:,} bytes dropped: they are too long to read"
        return file, (Notice("metadata-dropped", message),) if count else ()

    def animation(self, image: Image.Image, file: BinaryIO) -> frames.Animation | None:
        with restored(file):
            file.seek(0)
            data = file.read()
        found, size = gif.read(data), image.size
        image.info[_NAMES] = found.extensions
        whole = (0, 0, *size)
        if not found.frames or (
            found.complete and len(found.frames) == 1 and found.frames[0].box == whole
        ):
            return None

        def composed() -> Iterator[frames.Frame]:
            patches = (
                frames.Patch(
                    block.box[:2],
                    partial(self.open, BytesIO(block.still())),
                    block.delay * 10,
                    _DISPOSALS.get(block.disposal, frames.KEEP),
                    over=True,
                )
                for block in found.frames
            )
            kept = all(block.disposal != gif.CLEAR for block in found.frames[:-1])
            grey = all(map(_is_grey, {block.colours for block in found.frames}))
            return frames.composed(size, patches, grey=grey, kept=kept)

        boxes = (block.box for block in found.frames)
        largest = max((box[2] - box[0]) * (box[3] - box[1]) for box in boxes)
        return frames.Animation(
            len(found.frames),
            found.plays,
            composed,
            found.complete,
            bytes=frames.working_bytes(size, largest, len(data)),
        )

    def xmp(self, image: Any) -> bytes | None:
        """The unpacked content of an application extension, up to a trailer that ends it for
        readers of blocks (XMP specification, part 3, 1.1.2).
        """
        name, at = image.info.get("extension", (b"", 0))
        file = image.fp
        if not name.startswith(_XMP) or file is None:
            return None
        with restored(file):
            # Pillow says where the block after the name begins.
            file.seek(at)
            text, trailer, _ = file.read().partition(_XMP_TRAILER)
        return text if trailer else None

    def uncarried(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        # `animation` has read the whole file.
        names: frozenset[bytes] = image.info.get(_NAMES, frozenset())
        found = beside.of_gif(names)
        if _XMP in names and self.xmp(image) is None:
            found += (beside.dropped("XMP behind the first frame"),)
        return found

    def warned(self, picture: Picture) -> Picture:
        # A GIF's own pixels have none, unless a resize made some.
        if picture.format != self.row.name and colour.is_half_transparent(picture):
            message = "GIF has no half transparency: such pixels became clear or opaque"
            return picture.with_notice("alpha-flattened", message)
        return picture

    def animated(
        self,
        images: Sequence[Image.Image],
        durations: Sequence[float],
        plays: int,
        options: Options,
        encoding: Encoding,
    ) -> bytes:
        from imgbatch.imaging.series import gif_frames

        return gif_frames.encode(
            images,
            durations,
            plays=plays,
            dither=encoding.dither,
            colours=encoding.colours or gif.MAX_COLOURS,
            comment=options.get("comment"),
        )


def _is_grey(colours: bytes) -> bool:
    return colours[::3] == colours[1::3] == colours[2::3]


CODEC: Final = Gif()
