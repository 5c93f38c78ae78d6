"""Container formats as bytes: walked, read, replaced and written, without Pillow."""
