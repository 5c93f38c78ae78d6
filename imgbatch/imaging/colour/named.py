"""The profiles that `--profile` knows by name, built from the numbers of their specifications."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import MappingProxyType
from typing import Final

from imgbatch.imaging.colour import icc
from imgbatch.imaging.colour.icc import Primaries
from imgbatch.model import ProfileName

PROPHOTO: Final = Primaries((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
"""ROMM RGB: ISO 22028-2:2013, 4.2."""


def romm_to_linear(level: float) -> float:
    """ISO 22028-2:2013, 4.4: an exponent of 1.8, and a straight line below 1/32."""
    light: float = level / 16 if level < 1 / 32 else level**1.8
    return light


_ALPHA, _BETA = 1.09929682680944, 0.018053968510807


def bt2020_to_linear(level: float) -> float:
    """The inverse of Rec. ITU-R BT.2020, table 4, with its constants in full precision."""
    if level < 4.5 * _BETA:
        return level / 4.5
    light: float = ((level + _ALPHA - 1) / _ALPHA) ** (1 / 0.45)
    return light


def _prophoto() -> bytes:
    name = "Compatible with ProPhoto RGB (ROMM RGB)"
    return icc.rgb_profile(name, PROPHOTO, icc.table(romm_to_linear))


_BUILDERS: Final[MappingProxyType[ProfileName, Callable[[], bytes]]] = MappingProxyType(
    {
        "adobe-rgb": icc.adobe_rgb,
        "display-p3": lambda: icc.rgb_profile("Display P3", icc.PRIMARIES[12], icc.srgb_curve()),
        "prophoto": _prophoto,
        "rec2020": lambda: icc.rgb_profile(
            "Rec. 2020", icc.PRIMARIES[9], icc.table(bt2020_to_linear)
        ),
    }
)


@cache
def profile(name: ProfileName) -> bytes:
    """The ICC profile with this name; sRGB is none of them, as it is LittleCMS's own."""
    return _BUILDERS[name]()
