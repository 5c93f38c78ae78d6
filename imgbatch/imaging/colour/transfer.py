"""Between the levels of a picture and the light they stand for, one number at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from imgbatch.imaging.colour.icc import srgb_to_linear, tone_curves

Level = Callable[[float], float]
"""From 0..1 to 0..1; the caller clips results beyond that."""

_STEPS = 4096


class Transfer(NamedTuple):
    """The light of a level, and the level of that light."""

    to_light: Level
    from_light: Level


def linear_to_srgb(light: float) -> float:
    """IEC 61966-2-1, both from 0 to 1; odd around 0."""
    if light < 0:
        return -linear_to_srgb(-light)
    return light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


SRGB = Transfer(srgb_to_linear, linear_to_srgb)


@lru_cache(maxsize=16)
def transfers(icc: bytes | None) -> tuple[Transfer, ...]:
    """Those of a profile's channels, or one for all; sRGB's if it has none."""
    curves = tone_curves(icc) if icc is not None else None
    if not curves:
        return (SRGB,)
    import numpy as np

    levels = np.linspace(0, 1, _STEPS + 1)
    # Lists of numbers, because callers ask for one at a time.
    return tuple(_transfer(curve(levels).tolist()) for curve in curves)


def _transfer(light: Sequence[float]) -> Transfer:
    """Straight lines between steps, which are 1/16 of a level apart."""

    def to_light(level: float) -> float:
        place = min(1.0, max(0.0, level)) * _STEPS
        step = min(_STEPS - 1, int(place))
        return light[step] + (place - step) * (light[step + 1] - light[step])

    def from_light(wanted: float) -> float:
        if wanted >= light[-1]:
            return 1.0
        step = max(1, bisect_left(light, wanted))
        low, high = light[step - 1], light[step]
        inside = (wanted - low) / (high - low) if high > low else 0.0
        return (step - 1 + max(0.0, inside)) / _STEPS

    return Transfer(to_light, from_light)
