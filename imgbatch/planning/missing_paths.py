"""What to say about a PATH at which there is nothing: often the shell took it apart, or did not."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Final

from imgbatch.errors import UsageError

_COMPARED: Final = 2_000
"""How many names in a folder are compared with one that is not there."""


def missing(path: str, paths: Sequence[str]) -> UsageError:
    """The error for a path at which there is nothing, one of all that were given."""
    if not path:
        return UsageError("found an empty PATH, expected a file or folder: is a variable empty?")
    message = f"there is no file or folder {path!r}"
    remedy = _remedy(path, paths)
    return UsageError(f"{message}: {remedy}" if remedy else message)


def _remedy(path: str, paths: Sequence[str]) -> str | None:
    # What every run would load for nothing.
    from imgbatch.recipes.toml import presets

    joined = (f"{one} {other}" for one, other in pairwise(paths) if path in (one, other))
    if (whole := next(filter(os.path.exists, joined), None)) is not None:
        return f'a name with blanks needs quotes: "{whole}"'
    if path in ("x", "×") or re.fullmatch(r"x?\d+(x\d*|px|%)?", path):
        return "a size is one word after --size, as in --size 1600x1200"
    if path.startswith("~"):
        return "~ stands for your home only without quotes"
    if re.search(r"[*?[]", path):
        folder, glob = os.path.split(path)
        place = f"imgbatch … {folder or '.'} --include {glob!r}"
        return f"omit the quotes, or take the folder: {place}"
    if path in presets():
        return f"did you mean `imgbatch run {path} PATH`?"
    folder, name = os.path.split(path)
    try:
        with os.scandir(folder or os.curdir) as entries:
            names = [entry.name for entry in islice(entries, _COMPARED)]
        near = difflib.get_close_matches(name, names, n=1)
    except OSError:
        return None
    return f"did you mean {os.path.join(folder, near[0])}?" if near else None
