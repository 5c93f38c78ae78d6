"""What nearly every job needs, imported by the server that workers are forked from.

Importing it is its whole point, and nothing else does: inside another program, codecs are loaded
when a picture needs them.
"""

from __future__ import annotations

from PIL import Image

from imgbatch.imaging import formats
from imgbatch.imaging import resample as _resample  # noqa: F401
from imgbatch.imaging.codecs import jpeg_native
from imgbatch.running import worker as _worker  # noqa: F401

formats.codec(formats.BY_NAME["jpeg"])
jpeg_native.library()
# Otherwise Pillow would do that in each of them, at the first picture.
Image.preinit()
