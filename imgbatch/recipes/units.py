"""Whole numbers with a unit, as people write them."""

from __future__ import annotations

import math
import re
from typing import Final

_FACTORS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def amount(word: str, unit: str) -> int:
    """The number that `1500000`, `1.5M` or `1.5MB` means, where the unit is `B`.

    Raises ValueError that says what was expected.
    """
    pattern = rf"(\d+|\d*\.\d+)\s*([KMGT]?){unit}?"
    match = re.fullmatch(pattern, word.strip(), re.IGNORECASE | re.ASCII)
    found = float(match[1]) * _FACTORS[match[2].upper()] if match else math.inf
    if math.isinf(found):
        raise ValueError(f"found {word!r}, expected a number, as in 500M{unit}")
    return round(found)


def in_words(number: int, unit: str) -> str:
    """A number as `amount` reads it, with the largest factor that leaves it whole: 250MP."""
    fits = [name for name, factor in _FACTORS.items() if number % factor == 0]
    return f"{number // _FACTORS[fits[-1]]}{fits[-1]}{unit}"
