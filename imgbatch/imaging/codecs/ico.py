"""Windows icons: the largest picture inside, a PNG or a bitmap with a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final

from PIL import PngImagePlugin
from PIL.BmpImagePlugin import DibImageFile
from PIL.IcoImagePlugin import IcoFile

from imgbatch.imaging import formats
from imgbatch.imaging.codecs.base import Codec, Options, restored
from imgbatch.imaging.own_settings import in_each_thread, without_limit
from imgbatch.model import Notice

if TYPE_CHECKING:
    from PIL import Image

    from imgbatch.imaging.picture import Picture
    from imgbatch.model import Encoding

in_each_thread(PngImagePlugin, "MAX_TEXT_CHUNK", "MAX_TEXT_MEMORY")


class Ico(Codec):
    """Windows icons. Nothing is known of them besides the pixels."""

    pillow = "ICO"

    def open(self, file: BinaryIO) -> Image.Image:
        # Pillow loads icons as soon as it opens them, and only the picture inside has the true
        # size.
        file.seek(0)
        offset = IcoFile(file).entry[0].offset
        file.seek(offset)
        is_png = formats.BY_NAME["png"].matches(file.read(formats.HEAD_BYTES))
        file.seek(offset)
        image = PngImagePlugin.PngImageFile(file) if is_png else DibImageFile(file)
        if not is_png:
            image._size = (image.width, image.height // 2)
        # Pillow drops everything else.
        image.info = {key: one for key, one in image.info.items() if key == "transparency"}
        return image

    def loadable(self, image: Image.Image, file: BinaryIO) -> Image.Image:
        file.seek(0)
        # Its size was checked; Pillow counts the mask of a bitmap as pixels.
        with without_limit():
            return super().open(file)

    def channel_bits(self, image: Any, file: BinaryIO) -> int:
        return 16 if image.tile and ";16" in str(image.tile[0].args) else 0

    def left_behind(self, image: Image.Image, file: BinaryIO) -> tuple[Notice, ...]:
        with restored(file):
            file.seek(0)
            entries = IcoFile(file).entry
        sizes = {(entry.width, entry.height) for entry in entries}
        if len(sizes) == 1:
            return ()
        message = f"only the largest of the icon's {len(sizes)} sizes was kept"
        return (Notice("sizes-dropped", message),)

    def options(self, picture: Picture, encoding: Encoding) -> Options:
        return {"sizes": [picture.size]}

    def working_mode(self, image: Image.Image) -> str:
        # A bitmap's mask becomes alpha.
        return "RGBA" if image.format == "DIB" else super().working_mode(image)


CODEC: Final = Ico()
