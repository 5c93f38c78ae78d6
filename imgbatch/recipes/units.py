"""Whole numbers with a unit, as people write them."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import Final

_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600}
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


def seconds(word: str) -> float:
    """The seconds that `90`, `90s`, `1.5m` or `2h` mean. Raises ValueError."""
    with suppress(ValueError):
        return float(word)
    match = re.fullmatch(r"(\d+|\d*\.\d+)\s*(s|m|min|h)", word.strip().lower(), re.ASCII)
    if match is None:
        raise ValueError(f"found {word!r}, expected seconds, or a time as in 90s, 2m or 1h")
    return float(match[1]) * _SECONDS[match[2]]


def time_in_words(number: float) -> str:
    """A time as `seconds` reads it, with the largest unit that leaves it whole: 2m."""
    fits = [name for name in ("h", "m") if number % _SECONDS[name] == 0]
    unit = fits[0] if fits else "s"
    return f"{number / _SECONDS[unit]:g}{unit}"
