"""High dynamic range, PQ and HLG (ITU-R BT.2100), and the way to the standard range and back.

Such a picture has a profile that says so (`icc.high_range`), and keeps its levels until something
needs others. Then light up to 1000 cd/m2 is brought down to the 203 that reference white has (ITU-R
BT.2408), by the curve of ITU-R BT.2390 (5.4.1), with one factor for all channels of a pixel, so
that hues stay. What is then outside the gamut of sRGB is clipped.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from imgbatch.imaging.colour import icc

if TYPE_CHECKING:
    from imgbatch.imaging.colour.icc import CodePoints

_Light = NDArray[np.float64]

_WHITE: Final = 203.0
"""Reference white in cd/m2 (BT.2408, table 1)."""
_PEAK: Final = 1000.0
"""The brightest of a nominal display (BT.2100)."""
_SYSTEM_GAMMA: Final = 1.2
"""HLG's on such a display (BT.2100, table 5)."""
_MAXIMUM: Final = 65_535
_SRGB: Final = 1
"""Its primaries in ITU-T H.273."""
_PQ_PEAK: Final = 10_000.0
_ROWS: Final = 64
"""Converted at once."""


def to_standard(array: NDArray[np.uint16], points: CodePoints) -> NDArray[np.uint16]:
    """Levels (height, width, 3) of these code points in sRGB."""
    to_srgb = icc.matrix(points.primaries, _SRGB)
    out = np.empty(array.shape, np.uint16)
    for top in range(0, len(array), _ROWS):
        light = _displayed(array[top : top + _ROWS], points)
        brightest = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
        light *= _mapped(brightest) / brightest
        linear = np.clip(light @ np.array(to_srgb).T / _WHITE, 0, 1)
        out[top : top + _ROWS] = np.rint(_to_srgb_levels(linear) * _MAXIMUM)
    return out


def from_standard(array: NDArray[np.uint16], points: CodePoints) -> NDArray[np.uint16]:
    """Levels (height, width, 3) in sRGB under these code points; white is reference white."""
    levels = array / _MAXIMUM
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    light = np.maximum(linear @ np.array(icc.matrix(_SRGB, points.primaries)).T, 0) * _WHITE
    if points.transfer == icc.PQ:
        coded = _pq_of_light(light)
    else:
        shown = light / _PEAK
        luminance = _luminance(shown, points)
        scene = shown * np.maximum(luminance, 1e-9) ** (1 / _SYSTEM_GAMMA - 1)
        coded = _hlg_of_light(scene)
    return np.rint(np.clip(coded, 0, 1) * _MAXIMUM).astype(np.uint16)


def _displayed(array: NDArray[np.uint16], points: CodePoints) -> _Light:
    """Light on a nominal display in cd/m2."""
    light = _of_levels(points.transfer)[array]
    if points.transfer == icc.PQ:
        return light * _PQ_PEAK
    return light * (_luminance(light, points) ** (_SYSTEM_GAMMA - 1)) * _PEAK


def _luminance(light: _Light, points: CodePoints) -> _Light:
    found: _Light = light @ np.array(icc.luminances(points.primaries))
    return found[..., None]


@cache
def _of_levels(transfer: int) -> _Light:
    to_light = icc.pq_to_light if transfer == icc.PQ else icc.hlg_to_light
    return np.array([to_light(level / _MAXIMUM) for level in range(_MAXIMUM + 1)])


def _mapped(light: _Light) -> _Light:
    """What becomes of an amount of light; nothing is darker than black."""
    top = _pq_of_light(np.array(_PEAK))
    coded = np.minimum(_pq_of_light(light) / top, 1)
    highest = _pq_of_light(np.array(_WHITE)) / top
    knee = 1.5 * highest - 0.5
    part = np.maximum(coded - knee, 0) / (1 - knee)
    bent = (
        (2 * part**3 - 3 * part**2 + 1) * knee
        + (part**3 - 2 * part**2 + part) * (1 - knee)
        + (3 * part**2 - 2 * part**3) * highest
    )
    return _light_of_pq(np.where(coded < knee, coded, bent) * top)


def _light_of_pq(coded: _Light) -> _Light:
    table = _of_levels(icc.PQ)
    return np.interp(coded * _MAXIMUM, np.arange(len(table)), table) * _PQ_PEAK


def _pq_of_light(light: _Light) -> _Light:
    """The inverse EOTF of PQ (BT.2100, table 4), from cd/m2."""
    powered = (light / _PQ_PEAK) ** icc.PQ_M1
    coded: _Light = ((icc.PQ_C1 + icc.PQ_C2 * powered) / (1 + icc.PQ_C3 * powered)) ** icc.PQ_M2
    return coded


def _hlg_of_light(scene: _Light) -> _Light:
    """The OETF of HLG (BT.2100, table 5), from light of the scene, 0 to 1."""
    bright = icc.HLG_A * np.log(np.maximum(12 * scene - icc.HLG_B, 1e-9)) + icc.HLG_C
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def _to_srgb_levels(linear: _Light) -> _Light:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
