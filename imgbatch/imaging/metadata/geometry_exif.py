"""Tags of EXIF and GeoTIFF that tell a place or a scale in the picture.

EXIF 2.32 (CIPA DC-008); GeoTIFF 1.1 (OGC 19-008r4), 7.3 and annex; RPCs in GeoTIFF (GDAL).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from imgbatch.imaging.affine import Affine, moved
from imgbatch.imaging.metadata.geometry_signs import (
    FOCAL_PLANES,
    GEO_KEYS,
    INTERGRAPH,
    PIXEL_SCALE,
    RPC,
    SUBJECT_AREA,
    SUBJECT_LOCATION,
    TAGS,
    TIEPOINTS,
    TRANSFORMATION,
)
from imgbatch.imaging.metadata.shapes import Circle, Rectangle, Spot

if TYPE_CHECKING:
    from imgbatch.imaging.affine import Geometry
    from imgbatch.imaging.metadata.exif import Exif
    from imgbatch.imaging.picture import Box

_MATRICES: Final = (TRANSFORMATION, INTERGRAPH)
_ALL_GEO: Final = (PIXEL_SCALE, TIEPOINTS, *_MATRICES)
_RASTER_TYPE: Final = 1025
_PIXEL_IS_POINT: Final = 2
# ERR_BIAS, ERR_RAND, LINE_OFF, SAMP_OFF, LAT_OFF, LONG_OFF, HEIGHT_OFF, LINE_SCALE, SAMP_SCALE, ...
_LINE_OFFSET, _SAMPLE_OFFSET, _LINE_SCALE, _SAMPLE_SCALE = 2, 3, 7, 8
_RPC_NUMBERS: Final = 92


def move(exif: Exif, geometry: Geometry) -> list[str]:
    """Edit a block for what became of the picture; return what could not be kept, in words."""
    tags = exif.tags() & TAGS
    lost = []
    if geometry.affine is None:
        return drop(exif)
    affine, box = geometry.affine, geometry.box
    for tag in tags & {SUBJECT_AREA, SUBJECT_LOCATION}:
        exif.set_numbers(tag, subject(exif.numbers(tag), affine, box) or ())
    for across, down in FOCAL_PLANES:
        if {across, down} & tags:
            _move_focal_plane(exif, (across, down), affine)
    if RPC in tags and not _move_rpc(exif, affine):
        exif.remove(RPC)
        lost.append("the camera model of a satellite (RPC) dropped: it no longer fits the picture")
    if not tags.isdisjoint(_ALL_GEO) and not _move_raster(exif, tags, affine):
        for tag in _ALL_GEO:
            exif.remove(tag)
        lost.append("the position on the earth (GeoTIFF) dropped: it cannot be moved")
    return lost


def drop(exif: Exif) -> list[str]:
    """Remove them all; return that, in words."""
    for tag in exif.tags() & TAGS:
        exif.remove(tag)
    return ["tags of EXIF that tell a place in the picture were dropped"]


def subject(numbers: Sequence[float], affine: Affine, box: Box) -> list[int] | None:
    """SubjectArea or SubjectLocation after a move; None if nothing of it is left.

    A point, a circle (centre and diameter) or a rectangle (centre, width and height), as many as
    there are numbers: two to four.
    """
    shape: Rectangle | Circle | Spot | None
    match numbers:
        case [x, y]:
            shape = Spot(x, y).shown(affine, box)
        case [x, y, diameter]:
            shape = Circle(x, y, diameter / 2).shown(affine, box)
        case [x, y, width, height]:
            shape = Rectangle.centred(x, y, width, height).shown(affine, box)
        case _:
            return None
    match shape:
        case None:
            return None
        case Rectangle():
            return [round(number) for number in (*shape.centre, *shape.size)]
        case Circle(x, y, radius):
            return [round(x), round(y), round(2 * radius)]
        case Spot(x, y):
            return [round(x), round(y)]


def focal_plane(resolution: tuple[float, float], affine: Affine) -> tuple[float, float]:
    """Pixels per unit of the sensor, across and down, after a move."""
    across, down = resolution
    back = affine.undone()
    return (
        1 / math.hypot(back.xx / across, back.yx / down),
        1 / math.hypot(back.xy / across, back.yy / down),
    )


def _move_focal_plane(exif: Exif, tags: tuple[int, int], affine: Affine) -> None:
    found = [exif.numbers(tag) for tag in tags]
    one = next((numbers[0] for numbers in found if len(numbers) == 1 and numbers[0] > 0), None)
    if one is None:
        return
    across, down = (
        numbers[0] if len(numbers) == 1 and numbers[0] > 0 else one for numbers in found
    )
    after = focal_plane((across, down), affine)
    for tag, numbers, number in zip(tags, found, after, strict=True):
        if numbers and not math.isclose(numbers[0], number, rel_tol=1e-6):
            exif.set_numbers(tag, [number])


def _move_rpc(exif: Exif, affine: Affine) -> bool:
    numbers = list(exif.numbers(RPC))
    # Scales are positive, so it cannot say that a picture is turned or mirrored.
    if len(numbers) != _RPC_NUMBERS or not affine.only_scales:
        return False
    # They count from the centre of the first pixel.
    centred = _in_centres(affine)
    sample, line = centred.at(numbers[_SAMPLE_OFFSET], numbers[_LINE_OFFSET])
    numbers[_SAMPLE_OFFSET], numbers[_LINE_OFFSET] = sample, line
    numbers[_SAMPLE_SCALE] *= affine.xx
    numbers[_LINE_SCALE] *= affine.yy
    exif.set_numbers(RPC, numbers)
    return True


def _in_centres(affine: Affine) -> Affine:
    """The same for coordinates that count from the centre of the first pixel."""
    return moved(0.5, 0.5).then(affine).then(moved(-0.5, -0.5))


def _move_raster(exif: Exif, tags: frozenset[int], affine: Affine) -> bool:
    """Move what leads from pixels to the earth; False if it makes no sense."""
    found = {tag: exif.numbers(tag) for tag in _ALL_GEO if tag in tags}
    scale, ties = found.get(PIXEL_SCALE, ()), found.get(TIEPOINTS, ())
    matrices = {tag: numbers for tag, numbers in found.items() if tag in _MATRICES}
    counts = {len(numbers) for numbers in matrices.values()}
    if not all(found.values()) or len(ties) % 6 or len(scale) not in (0, 3) or counts - {16}:
        return False
    if _is_point(exif.numbers(GEO_KEYS)):
        affine = _in_centres(affine)
    back = affine.undone()
    for tag, matrix in matrices.items():
        exif.set_numbers(tag, _matrix_after(matrix, back))
    if scale and not affine.only_scales:
        # Scales have no direction, so a matrix must do.
        exif.remove(PIXEL_SCALE)
        exif.remove(TIEPOINTS)
        if ties and not matrices:
            exif.add_numbers(TRANSFORMATION, _matrix_after(_matrix(scale, ties), back))
        return bool(ties or matrices)
    if scale:
        exif.set_numbers(PIXEL_SCALE, [scale[0] / affine.xx, scale[1] / affine.yy, scale[2]])
    if ties:
        exif.set_numbers(TIEPOINTS, _ties_after(ties, affine))
    return True


def _is_point(keys: Sequence[float]) -> bool:
    """Whether coordinates count from pixels' centres (GTRasterTypeGeoKey)."""
    rows = zip(keys[4::4], keys[5::4], keys[7::4], strict=False)
    return (_RASTER_TYPE, 0, _PIXEL_IS_POINT) in rows


def _ties_after(ties: Sequence[float], affine: Affine) -> list[float]:
    """Tie points (column, row, plane, x, y, z) with the columns and rows moved."""
    made: list[float] = []
    for first in range(0, len(ties), 6):
        column, row, *rest = ties[first : first + 6]
        made += [*affine.at(column, row), *rest]
    return made


def _matrix(scale: Sequence[float], ties: Sequence[float]) -> list[float]:
    """The transformation that a scale and a tie point stand for; rows go south."""
    across, down, up = scale
    column, row, plane, x, y, z = ties[:6]
    return [
        *(across, 0, 0, x - column * across),
        *(0, -down, 0, y + row * down),
        *(0, 0, up, z - plane * up),
        *(0, 0, 0, 1),
    ]


def _matrix_after(matrix: Sequence[float], back: Affine) -> list[float]:
    """A 4 x 4 transformation, after the way back to the pixels that it is for."""
    made: list[float] = []
    for first in range(0, 16, 4):
        x, y, z, one = matrix[first : first + 4]
        made += [
            x * back.xx + y * back.yx,
            x * back.xy + y * back.yy,
            z,
            x * back.dx + y * back.dy + one,
        ]
    return made
