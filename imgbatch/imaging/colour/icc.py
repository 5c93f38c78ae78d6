"""ICC profiles from numbers, and numbers from ICC profiles (ICC.1:2001-04 and ICC.1:2010).

Version 2 profiles are built, which every reader supports: three primaries and one curve, or just
a curve for grey. That loads neither PIL nor NumPy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import exp, log
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    ToneCurve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

Chromaticity = tuple[float, float]
"""CIE 1931 x and y."""

_Matrix = tuple[tuple[float, float, float], ...]

_D50: Final = (0.9642, 1.0, 0.8249)
# Bradford's cone responses (ICC.1:2010, annex E).
_BRADFORD: Final[_Matrix] = (
    (0.8951, 0.2664, -0.1614),
    (-0.7502, 1.7135, 0.0367),
    (0.0389, -0.0685, 1.0296),
)
_CICP: Final = b"cicp"
_TABLE: Final = 1024
"""Entries of a curve that is not a plain exponent, with straight lines in between."""


class CodePoints(NamedTuple):
    """Primaries and transfer characteristics by the numbers of ITU-T H.273."""

    primaries: int
    transfer: int


class Primaries(NamedTuple):
    """The chromaticities of red, green, blue and white."""

    red: Chromaticity
    green: Chromaticity
    blue: Chromaticity
    white: Chromaticity


_D65: Final = (0.3127, 0.3290)
SRGB: Final = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
"""IEC 61966-2-1, and ITU-R BT.709."""
ADOBE_RGB: Final = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65)
"""Adobe RGB (1998), 4.3.1."""
ADOBE_GAMMA: Final = 563 / 256
"""Adobe RGB (1998), 4.3.4.2."""

PRIMARIES: Final = {
    1: SRGB,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: Primaries((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""Colour primaries of ITU-T H.273, table 2; 9 is Rec. ITU-R BT.2020, 12 is Display P3."""
_PRIMARIES_NAMES: Final = {1: "BT.709", 9: "BT.2020", 12: "Display P3"}


def srgb_to_linear(level: float) -> float:
    """IEC 61966-2-1, both from 0 to 1."""
    return level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4


def gamma(exponent: float) -> bytes:
    """A curve that is one exponent, stored in 1/256 (ICC.1:2001-04, 6.5.3)."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, max(1, min(65_535, round(exponent * 256))))


def table(to_linear: Callable[[float], float]) -> bytes:
    """A curve from a function from 0..1 to 0..1, as a table."""
    levels = [round(65_535 * to_linear(step / (_TABLE - 1))) for step in range(_TABLE)]
    return b"curv" + bytes(4) + struct.pack(f">I{_TABLE}H", _TABLE, *levels)


@lru_cache(maxsize=4)
def srgb_curve() -> bytes:
    """sRGB's curve as a table."""
    return table(srgb_to_linear)


# Transfer characteristics of ITU-T H.273, table 3, that are curves from 0 to 1. No display inverts
# the camera's curve of BT.709, BT.601 and BT.2020: all viewers show such pictures as sRGB. They
# would be up to 12 levels lighter.
_LIKE_SRGB: Final = (1, 6, 13, 14, 15)
_TRANSFERS: Final[dict[int, Callable[[], bytes]]] = {
    **dict.fromkeys(_LIKE_SRGB, srgb_curve),
    4: lambda: gamma(2.2),
    5: lambda: gamma(2.8),
    8: lambda: gamma(1),
    16: lambda: table(pq_to_light),
    18: lambda: table(hlg_to_light),
}

PQ: Final = 16
HLG: Final = 18
HIGH_RANGE: Final = {PQ: "PQ", HLG: "HLG"}
"""Transfer characteristics of high dynamic range: their 1 is far brighter than white."""

# ITU-R BT.2100, tables 4 and 5.
PQ_M1, PQ_M2 = 2610 / 16_384, 2523 / 4096 * 128
PQ_C1, PQ_C2, PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
HLG_A: Final = 0.17883277
HLG_B: Final = 1 - 4 * HLG_A
HLG_C: Final = 0.5 - HLG_A * log(4 * HLG_A)


def pq_to_light(level: float) -> float:
    """The EOTF of PQ, as a part of its 10,000 cd/m2."""
    root: float = level ** (1 / PQ_M2)
    light: float = (max(root - PQ_C1, 0) / (PQ_C2 - PQ_C3 * root)) ** (1 / PQ_M1)
    return light


def hlg_to_light(level: float) -> float:
    """The inverse OETF of HLG, as a part of the brightest light of the scene."""
    return level * level / 3 if level <= 0.5 else (exp((level - HLG_C) / HLG_A) + HLG_B) / 12


UNSPECIFIED: Final = 2
"""The number in H.273's tables for what is specified elsewhere, or not at all."""


def is_srgb_cicp(primaries: int, transfer: int) -> bool:
    """Whether these code points of ITU-T H.273 are sRGB's, or shown like those."""
    return primaries == 1 and transfer in _LIKE_SRGB


@lru_cache(maxsize=16)
def from_cicp(primaries: int, transfer: int) -> bytes | None:
    """An RGB profile for code points of ITU-T H.273; None if no profile can express them."""
    if primaries not in PRIMARIES or transfer not in _TRANSFERS:
        return None
    name = f"{_PRIMARIES_NAMES.get(primaries, f'H.273 primaries {primaries}')}, transfer {transfer}"
    more = {}
    if transfer in HIGH_RANGE:
        # ICC.1:2022, 10.5.
        more[_CICP] = _CICP + bytes(4) + bytes((primaries, transfer, 0, 1))
    return rgb_profile(name, PRIMARIES[primaries], _TRANSFERS[transfer](), more)


@lru_cache(maxsize=16)
def high_range(icc: bytes) -> CodePoints | None:
    """The code points of a profile that says it is PQ or HLG (ICC.1:2022, 9.2.17); None if not."""
    if _CICP not in icc:
        return None
    data = (tags(icc) or {}).get(_CICP, b"")
    if len(data) < 12 or data[9] not in HIGH_RANGE or data[8] not in PRIMARIES:
        return None
    return CodePoints(data[8], data[9])


def without_high_range(
    options: Mapping[str, Any],
) -> tuple[dict[str, Any], CodePoints | None]:
    """An encoder's options without a profile of PQ or HLG, and the code points of that."""
    points = high_range(options.get("icc_profile", b""))
    if points is None:
        return dict(options), None
    return {name: one for name, one in options.items() if name != "icc_profile"}, points


def luminances(primaries: int) -> tuple[float, float, float]:
    """How much of the light of white each primary of H.273 has."""
    return _amounts(PRIMARIES[primaries])


def matrix(source: int, target: int) -> _Matrix:
    """From linear light under some primaries of H.273 to that under others; white stays white."""
    back = _inverse(_transposed(_columns(PRIMARIES[target])))
    columns = [_product(back, column) for column in _columns(PRIMARIES[source])]
    return _transposed(columns)


@lru_cache(maxsize=1)
def adobe_rgb() -> bytes:
    """A profile equivalent to Adobe RGB (1998)."""
    return rgb_profile("Compatible with Adobe RGB (1998)", ADOBE_RGB, gamma(ADOBE_GAMMA))


@lru_cache(maxsize=1)
def grey_srgb() -> bytes:
    """A grey profile with sRGB's curve, which grey without a profile has implicitly."""
    return grey_profile("Grey with the curve of sRGB", srgb_curve())


def rgb_profile(
    name: str, primaries: Primaries, curve: bytes, more: Mapping[bytes, bytes] | None = None
) -> bytes:
    """An RGB profile, perhaps with more tags; white is adapted to D50 by Bradford's method.

    Raises ValueError for primaries that do not form a triangle around their white.
    """
    columns = _columns(primaries)
    tags = {
        b"wtpt": _xyz(_D50),
        b"rXYZ": _xyz(columns[0]),
        b"gXYZ": _xyz(columns[1]),
        b"bXYZ": _xyz(columns[2]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
        **(more or {}),
    }
    return _profile(name, b"RGB ", tags)


def grey_profile(name: str, curve: bytes) -> bytes:
    """A grey profile of one curve."""
    return _profile(name, b"GRAY", {b"wtpt": _xyz(_D50), b"kTRC": curve})


def _columns(primaries: Primaries) -> _Matrix:
    """The XYZ (D50) of full red, green and blue."""
    amounts = _amounts(primaries)
    *points, white = (_xyz_of(*point) for point in primaries)
    seen, wanted = _product(_BRADFORD, white), _product(_BRADFORD, _D50)
    back = _inverse(_BRADFORD)
    adapted = []
    for point, amount in zip(points, amounts, strict=True):
        cones = _product(_BRADFORD, [amount * part for part in point])
        scaled = [cone * to / at for cone, to, at in zip(cones, wanted, seen, strict=True)]
        adapted.append(_product(back, scaled))
    return tuple(adapted)


def _amounts(primaries: Primaries) -> tuple[float, float, float]:
    """How much of each makes white (SMPTE RP 177)."""
    *points, white = (_xyz_of(*point) for point in primaries)
    amounts = _product(_inverse(_transposed(points)), white)
    if min(amounts) <= 0:
        raise ValueError("its primaries cannot make white")
    return amounts


def _xyz_of(x: float, y: float) -> tuple[float, float, float]:
    if y <= 0:
        raise ValueError("its primaries are outside all colours")
    return x / y, 1.0, (1 - x - y) / y


def _transposed(rows: Sequence[Sequence[float]]) -> _Matrix:
    return tuple(zip(*rows, strict=True))


def _product(matrix: _Matrix, vector: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = (
        sum(cell * part for cell, part in zip(row, vector, strict=True)) for row in matrix
    )
    return first, second, third


def _inverse(matrix: _Matrix) -> _Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if abs(determinant) < 1e-9:
        raise ValueError("its primaries lie on one line")
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return tuple((x / determinant, y / determinant, z / determinant) for x, y, z in cofactors)


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, values))


def _fixed(value: float) -> bytes:
    # s15Fixed16Number; primaries beyond it are not real.
    if not -32_768 <= value < 32_768:
        raise ValueError("its primaries are outside all colours")
    return struct.pack(">i", round(value * 65_536))


def _profile(name: str, space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """The header (ICC.1:2001-04, 6.1), the tag table, and the tags' data, each once."""
    words = name.encode("ascii") + b"\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(words)) + words + bytes(78),
        b"cprt": b"text" + bytes(4) + b"No copyright\0",
    } | tags
    entries, data = b"", b""
    places: dict[bytes, int] = {}
    start = 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        if value not in places:
            places[value] = start + len(data)
            data += value + bytes(-len(value) % 4)
        entries += tag + struct.pack(">II", places[value], len(value))
    header = struct.pack(">I4xI", start + len(data), 0x02100000) + b"mntr" + space + b"XYZ "
    # The date is fixed, so that outputs are the same every day.
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += b"".join(map(_fixed, _D50))
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + data


# Reading


def tags(icc: bytes) -> dict[bytes, bytes] | None:
    """The tags of a profile with their data; None if its table is broken.

    Those outside the profile are left out.
    """
    if len(icc) < 132 or icc[36:40] != b"acsp":
        return None
    (count,) = struct.unpack(">I", icc[128:132])
    if not 0 < count <= 1000 or 132 + 12 * count > len(icc):
        return None
    found = {}
    for at in range(132, 132 + 12 * count, 12):
        tag, offset, size = struct.unpack(">4sII", icc[at : at + 12])
        if size >= 8 and offset + size <= len(icc):
            found[tag] = icc[offset : offset + size]
    return found


_MATRIX_TAGS: Final = frozenset((b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"))
_LUT_TAGS: Final = frozenset((b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2", b"D2B3"))


def is_whole(icc: bytes) -> bool:
    """Whether a profile has what converts its numbers to colours, according to its table."""
    found = set(tags(icc) or ())
    needed = _MATRIX_TAGS if icc[16:20] == b"RGB " else {b"kTRC"} if icc[16:20] == b"GRAY" else None
    return bool(found & _LUT_TAGS) or (needed is not None and found >= needed)


def tone_curves(icc: bytes) -> tuple[ToneCurve, ...] | None:
    """The curves from a profile's numbers to light, from 0..1 to 0..1, for each channel.

    Three for an RGB profile with a matrix and curves, one for a grey profile; None for any other,
    or a broken one. Two channels with the same curve have the same object.
    """
    found = tags(icc)
    # Grey in the Lab connection space has curves of lightness, not of light.
    if not found or icc[20:24] != b"XYZ " or found.keys() & _LUT_TAGS:
        return None
    names = {b"RGB ": (b"rTRC", b"gTRC", b"bTRC"), b"GRAY": (b"kTRC",)}.get(icc[16:20])
    if names is None or not is_whole(icc):
        return None
    curves = {}
    for name in names:
        data = found[name]
        if data not in curves:
            curve = _curve(data)
            if curve is None:
                return None
            curves[data] = curve
    return tuple(curves[found[name]] for name in names)


def _curve(data: bytes) -> ToneCurve | None:
    """A curve of the type 'curv' or 'para' (ICC.1:2010, 10.5 and 10.15), or None."""
    try:
        if data[:4] == b"curv":
            return _sampled(data)
        return _parametric(data) if data[:4] == b"para" else None
    except struct.error:
        return None


def _sampled(data: bytes) -> ToneCurve | None:
    (count,) = struct.unpack(">I", data[8:12])
    if 12 + 2 * count > len(data):
        return None
    import numpy as np

    if count == 0:
        return lambda levels: levels
    if count == 1:
        exponent = struct.unpack(">H", data[12:14])[0] / 256
        return lambda levels: levels**exponent
    values = np.frombuffer(data, ">u2", count, 12) / 65_535
    steps = np.linspace(0, 1, count)
    return lambda levels: np.interp(levels, steps, values)


# How many parameters each function type has (ICC.1:2010, table 65).
_PARAMETERS: Final = (1, 3, 4, 5, 7)


def _parametric(data: bytes) -> ToneCurve | None:
    (kind,) = struct.unpack(">H", data[8:10])
    if kind >= len(_PARAMETERS):
        return None
    number = _PARAMETERS[kind]
    given = [one / 65_536 for one in struct.unpack(f">{number}i", data[12 : 12 + 4 * number])]
    given += [0.0] * (7 - number)
    import numpy as np

    exponent, scale, offset, slope, edge, lift, low = given
    if kind == 0:
        scale = 1.0
    elif kind in (1, 2):
        # Below their edge, which is where the base becomes 0, these are flat.
        lift, slope = (slope if kind == 2 else 0.0), 0.0

    def curve(levels: NDArray[np.float64]) -> NDArray[np.float64]:
        base = np.maximum(scale * levels + offset, 0)
        light = np.where(levels >= edge, base**exponent + lift, slope * levels + low)
        clipped: NDArray[np.float64] = np.clip(light, 0, 1)
        return clipped

    return curve
