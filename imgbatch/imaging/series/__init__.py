"""Files with several frames: animations, and the pages of a TIFF."""
