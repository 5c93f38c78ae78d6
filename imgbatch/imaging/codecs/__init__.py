"""A module for each format: all that is particular to it (see `base`)."""
