"""Numbers with the things they count, for messages."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None, *, spec: str = "") -> str:
    """`1 warning`, `2 warnings`; `many` is the plural where that is not `one` with an s.

    `spec` is how the number is formatted, as in `format()`.
    """
    return f"{number:{spec}} {one if number == 1 else many or f'{one}s'}"
