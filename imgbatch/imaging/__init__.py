"""Pixels and what travels with them: decoding, colour, resampling, metadata, encoding."""
