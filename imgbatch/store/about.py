"""What a journal remembers of finished files for people, in two columns of text.

The first has a file's checksum, its size in pixels, its format and whether it is a copy; the
second its warnings, and nothing where there are none. An earlier version of imgbatch that remakes
a file leaves both as they are: then the checksum differs, and they say nothing.
"""

from __future__ import annotations

import json
from typing import Final, cast

import msgspec
from msgspec import convert

from imgbatch.model import About, Earlier, Made, Notice, NoticeKind, Replaced, Written

_Head = tuple[int | None, int, int, str, bool]
_Warnings = tuple[tuple[str, str], ...]
# ASCII, so that bytes of a name that are not UTF-8 survive in messages.
_text: Final = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
_head: Final = msgspec.json.Encoder().encode


def packed(about: About | None, checksum: int | bytes | None) -> tuple[str | None, str | None]:
    """The columns for a file that has this checksum."""
    if about is None or isinstance(checksum, bytes):
        return None, None
    *head, warnings = about
    return _head((checksum, *head)).decode(), _text(warnings) if warnings else None


def of(made: Made) -> About | None:
    """What is remembered of a file; None if nothing is, or if it was remade since."""
    if made.about is None:
        return None
    try:
        head = convert(json.loads(made.about), _Head)
        warnings = convert(json.loads(made.warnings), _Warnings) if made.warnings else ()
    except (ValueError, TypeError, RecursionError):
        # In journals that somebody has edited there may be anything.
        return None
    checksum, width, height, format_name, copied = head
    if checksum != made.hash:
        return None
    return About(width, height, format_name, copied, warnings)


def is_warned(made: Made) -> bool:
    """Whether a file is remembered to have warnings."""
    if made.warnings is None:
        return False
    about = of(made)
    return about is not None and bool(about.warnings)


def earlier(made: Made, output: str, path: str) -> Earlier | None:
    """The file at `path` that was made for an output of this name, if enough is remembered."""
    about = of(made)
    return None if about is None or made.size is None else told(about, output, path, made.size)


def told(
    about: About, output: str, path: str, size: int, replaced: Replaced | None = None
) -> Earlier:
    """The finished file of `size` bytes at `path` that this is remembered of."""
    width, height, format_name, copied, warnings = about
    written = Written(output, path, width, height, size, format_name, copied, replaced)
    # A kind that is not in the list is that of another package's operation.
    notices = (Notice(cast(NoticeKind, kind), message) for kind, message in warnings)
    return Earlier(written, tuple(notices))
