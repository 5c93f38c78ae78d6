"""WebP, still and animated: libwebp composes the frames."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Final

from PIL import (
    Image,
    WebPImagePlugin,  # noqa: F401
)

from imgbatch.imaging.codecs import beside
from imgbatch.imaging.codecs.base import Codec, Options, restored
from imgbatch.imaging.containers import riff
from imgbatch.imaging.fitting import Curve
from imgbatch.imaging.series import animated, frames

if TYPE_CHECKING:
    from imgbatch.imaging.picture import Picture
    from imgbatch.model import Encoding, Notice

_CUT_SHORT: Final = "imgbatch: cut short"
_MAX_PLAYS: Final = 65_535


class WebP(Codec):
    """WebP (RFC 9649)."""

    pillow = "WEBP"
    # Its canvas is made when it is opened.
    allocates = True
    curve = Curve(
        ((1, -1.2), (20, -0.8), (50, -0.26), (75, 0.07), (85, 0.52), (95, 1.3), (100, 1.69)), 0.4
    )

    def open_damaged(self, file: BinaryIO) -> Image.Image | None:
        # libwebp opens nothing of an animation cut short. Each ANMF chunk is a frame (2.7).
        file.seek(0)
        data = file.read()
        end, any_frame = 0, False
        for kind, stop in riff.chunk_ends(data):
            end, any_frame = stop, any_frame or kind == b"ANMF"
        if not any_frame or end >= riff.declared_end(data):
            return None
        image = self.open(BytesIO(riff.shortened(data, end)))
        image.info[_CUT_SHORT] = True
        return image

    def uncarried(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        with restored(file):
            return beside.of_webp(set(riff.kinds(file)))

    def animation(self, image: Image.Image, file: BinaryIO) -> frames.Animation | None:
        with restored(file):
            return frames.by_its_library(image, complete=_CUT_SHORT not in image.info)

    def options(self, picture: Picture, encoding: Encoding) -> Options:
        wanted: Options = {"method": 4}
        if encoding.effort is not None:
            wanted["method"] = round((encoding.effort - 1) * 6 / 9)
        if encoding.lossless:
            # In this case quality is effort to libwebp; exact keeps hidden colours.
            return wanted | {"lossless": True, "quality": 75, "exact": True}
        return wanted | {"quality": encoding.quality or self.row.quality}

    def animated(
        self,
        images: Sequence[Image.Image],
        durations: Sequence[float],
        plays: int,
        options: Options,
        encoding: Encoding,
    ) -> bytes:
        plays = min(plays, _MAX_PLAYS)
        return animated.saved(images, durations, self.pillow, options | {"loop": plays})


CODEC: Final = WebP()
