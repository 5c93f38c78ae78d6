"""What nearly every job needs, imported by the server that workers are forked from.

Its import is all there is to it, and nothing else imports it: a guest in another program loads
what a picture takes when there is one.
"""

from __future__ import annotations

from PIL import Image

from imgbatch.imaging import formats
from imgbatch.imaging import resample as _resample  # noqa: F401
from imgbatch.running import worker as _worker  # noqa: F401

formats.load_plugin(formats.BY_NAME["jpeg"])
# Pillow would do that in each of them, at the first picture.
Image.preinit()
