"""Lists of regions in XMP, such as faces with names: moved along with the pixels, or dropped.

MWG Guidelines for Handling Image Metadata 2.0, 5.9; Microsoft's People Tagging; IPTC Photo Metadata
Standard 2019.1 and later, Image Region; ACDSee.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from imgbatch.imaging import affine as moves
from imgbatch.imaging.metadata.rdf import Fields, Item, decimal, number
from imgbatch.imaging.metadata.shapes import Circle, Polygon, Rectangle, Shape, Spot
from imgbatch.imaging.picture import turned

if TYPE_CHECKING:
    from imgbatch.imaging.affine import Affine, Geometry
    from imgbatch.model import Size

_MWG: Final = "http://www.metadataworkinggroup.com/schemas/regions/"
_MICROSOFT: Final = "http://ns.microsoft.com/photo/1.2/"
_IPTC: Final = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_ACDSEE: Final = "http://ns.acdsee.com/regions/"

_APPLIED_TO: Final = "AppliedToDimensions"
# The angle of a face to the edges of the picture, as Apple writes it.
_ROLL: Final = "AngleInfoRoll"


class Frame(NamedTuple):
    """What coordinates refer to: a picture of `size`, and where the pixels of that went."""

    size: Size
    affine: Affine


class _Unit(NamedTuple):
    """Pixels per unit of the numbers of a place; `whole` ones are written without decimals."""

    across: float
    down: float
    whole: bool = False


class _Way(NamedTuple):
    """How a place is written; `read` returns None if it cannot be read.

    Its `unit` is a field; without one it is a text of the region, and not a structure.
    """

    unit: str | None
    read: Callable[[Fields, _Unit], Shape | None]
    write: Callable[[Fields, Shape, _Unit], None]


class _Regions(NamedTuple):
    """A property with regions: the field that is the array of them (None: itself), and the fields
    of each that are places.
    """

    namespace: str
    name: str
    array: str | None
    places: tuple[str, ...]
    way: _Way


def move(properties: Callable[[str], Fields], geometry: Geometry, lost: list[str]) -> None:
    """Move all regions, given the properties of a namespace; add what is lost, in words.

    Regions of a part that is gone go with it, which is no loss.
    """
    lists = [(kind, properties(kind.namespace)) for kind in _LISTS]
    infos = [top.structure(kind.name) if kind.array else top for kind, top in lists]
    sizes = [_applied_to(info) if info else None for info in infos]
    frame = _frame(geometry, next(filter(None, sizes), None))
    for (kind, top), info, size in zip(lists, infos, sizes, strict=True):
        regions = info.items(kind.array or kind.name) if info else []
        mover = _Mover(kind, frame, size, geometry, lost)
        kept: list[Item] = []
        dropped: list[Item] = []
        for one in regions:
            (kept if mover.keeps(one) else dropped).append(one)
        Item.drop(dropped)
        if regions and not kept:
            top.remove(kind.name)
        elif info and (dimensions := info.structure(_APPLIED_TO)):
            dimensions.set_number("w", geometry.size[0], whole=True)
            dimensions.set_number("h", geometry.size[1], whole=True)


def upright(geometry: Geometry) -> Frame | None:
    """The upright picture; None if it is not known how its pixels moved."""
    if geometry.affine is None:
        return None
    turn = moves.upright(geometry.stored, geometry.orientation)
    size = turned(geometry.stored, geometry.orientation)
    return Frame(size, turn.undone().then(geometry.affine))


def stored(geometry: Geometry) -> Frame | None:
    """The picture as it is stored; None if it is not known how its pixels moved."""
    return None if geometry.affine is None else Frame(geometry.stored, geometry.affine)


def _frame(geometry: Geometry, size: tuple[float, float] | None) -> Frame | None:
    """What regions refer to: the picture as it is stored (MWG), unless their `size` is upright."""
    if size is None or geometry.orientation < 5:
        return stored(geometry)
    shape, own = math.log(size[0] / size[1]), math.log(geometry.stored[0] / geometry.stored[1])
    return stored(geometry) if abs(shape - own) <= abs(shape + own) else upright(geometry)


def _applied_to(info: Fields) -> tuple[float, float] | None:
    """The size in pixels of the picture that regions were made for."""
    dimensions = info.structure(_APPLIED_TO)
    if dimensions is None:
        return None
    width, height = dimensions.number("w"), dimensions.number("h")
    return (width, height) if width and height and width > 0 < height else None


class _Mover(NamedTuple):
    """Moves the regions of one list."""

    kind: _Regions
    frame: Frame | None
    size: tuple[float, float] | None
    geometry: Geometry
    lost: list[str]

    def keeps(self, region: Item) -> bool:
        """Move a region; return whether it stays.

        It does not if nothing of it is left, or if its place is not known.
        """
        way = self.kind.way
        names = [name for name in self.kind.places if name in region]
        outcomes = {
            name: self._moved(region.structure(name) if way.unit else region) for name in names
        }
        if names and not any(outcomes.values()):
            if None in outcomes.values():
                self.lost.append("a region dropped: its place in the picture is not known")
            return False
        region.remove(*(name for name, found in outcomes.items() if not found))
        faces = region.structure("Extensions")
        if faces and self.frame and not self.frame.affine.only_scales:
            faces.remove(_ROLL)
        return True

    def _moved(self, place: Fields | None) -> bool | None:
        """Move a place; return whether some of it is left, None if it is not known where it is."""
        if place is None or self.frame is None:
            return None
        way = self.kind.way
        width, height = self.frame.size
        if way.unit and (place.text(way.unit) or "").lower() == "pixel":
            made_for = self.size or self.frame.size
            before = _Unit(width / made_for[0], height / made_for[1])
            after = _Unit(1, 1, whole=True)
        elif self.geometry.is_whole:
            # Whatever is relative stays right.
            return True
        else:
            before, after = _Unit(width, height), _Unit(*self.geometry.size)
        shape = way.read(place, before)
        if shape is None:
            return None
        shown = shape.shown(self.frame.affine, self.geometry.box)
        if shown is not None:
            way.write(place, shown, after)
        return shown is not None


def _read_area(area: Fields, unit: _Unit) -> Shape | None:
    x, y = area.number("x"), area.number("y")
    width, height, diameter = area.number("w"), area.number("h"), area.number("d")
    if x is None or y is None:
        return None
    across, down, _ = unit
    if width and height:
        return Rectangle.centred(x * across, y * down, width * across, height * down)
    if diameter:
        return Circle(x * across, y * down, diameter * min(across, down) / 2)
    return Spot(x * across, y * down)


def _write_area(area: Fields, shape: Shape, unit: _Unit) -> None:
    across, down, _ = unit
    match shape:
        case Rectangle():
            x, y = shape.centre
            width, height = shape.size
            if "w" not in area:
                area.add("w", "", beside="x")
                area.add("h", "", beside="x")
                area.remove("d")
            numbers = {"w": width / across, "h": height / down}
        case Circle(x, y, radius):
            numbers = {"d": 2 * radius / min(across, down)}
        case Spot(x, y):
            numbers = {}
        case Polygon():
            raise TypeError("an area of this kind has no corners")
    for name, value in {"x": x / across, "y": y / down, **numbers}.items():
        area.set_number(name, value, whole=unit.whole)


def _read_rectangle(region: Fields, unit: _Unit) -> Rectangle | None:
    numbers = [number(one) for one in (region.text("Rectangle") or "").split(",")]
    match numbers:
        case [float(left), float(top), float(width), float(height)]:
            across, down, _ = unit
            right, bottom = left + width, top + height
            return Rectangle(left * across, top * down, right * across, bottom * down)
    return None


def _write_rectangle(region: Fields, shape: Shape, unit: _Unit) -> None:
    before = _read_rectangle(region, _Unit(1, 1))
    if not isinstance(shape, Rectangle) or before is None:
        raise TypeError("a region of this kind is a rectangle")
    across, down, _ = unit
    left, top, right, bottom = shape
    after = Rectangle(left / across, top / down, right / across, bottom / down)
    if math.dist(before, after) > 1e-6:
        region.set("Rectangle", ", ".join(map(decimal, (after.left, after.top, *after.size))))


def _read_boundary(boundary: Fields, unit: _Unit) -> Shape | None:
    across, down, _ = unit
    vertices = [(one.number("rbX"), one.number("rbY")) for one in boundary.items("rbVertices")]
    points = tuple((x * across, y * down) for x, y in vertices if x is not None and y is not None)
    x, y = boundary.number("rbX"), boundary.number("rbY")
    width, height = boundary.number("rbW"), boundary.number("rbH")
    radius = boundary.number("rbRx")
    match (boundary.text("rbShape") or "").lower():
        case "polygon" if len(points) == len(vertices):
            # One vertex is a point.
            if len(points) == 1:
                return Spot(*points[0])
            return Polygon(points) if len(points) > 2 else None
        case "circle" if x is not None and y is not None and radius is not None:
            return Circle(x * across, y * down, radius * across)
        case "rectangle" if None not in (x, y, width, height):
            left, top = (x or 0) * across, (y or 0) * down
            return Rectangle(left, top, left + (width or 0) * across, top + (height or 0) * down)
    return None


def _write_boundary(boundary: Fields, shape: Shape, unit: _Unit) -> None:
    across, down, _ = unit
    match shape:
        case Rectangle(left, top, right, bottom):
            if "rbRx" in boundary:
                boundary.set("rbShape", "rectangle")
                boundary.add("rbW", "", beside="rbX")
                boundary.add("rbH", "", beside="rbX")
                boundary.remove("rbRx")
            numbers = {"rbX": left, "rbY": top, "rbW": right - left, "rbH": bottom - top}
        case Circle(x, y, radius):
            numbers = {"rbX": x, "rbY": y, "rbRx": radius}
        case Spot(x, y):
            _write_vertices(boundary, [(x / across, y / down)], unit)
            return
        case Polygon(points):
            _write_vertices(boundary, [(x / across, y / down) for x, y in points], unit)
            return
    for name, value in numbers.items():
        by = down if name in ("rbY", "rbH") else across
        boundary.set_number(name, value / by, whole=unit.whole)


def _write_vertices(boundary: Fields, points: list[moves.Point], unit: _Unit) -> None:
    items = boundary.items("rbVertices")
    Item.drop(items[len(points) :])
    items += items[-1].repeated(max(0, len(points) - len(items)), "rbX", "rbY")
    for item, (x, y) in zip(items, points, strict=False):
        item.set_number("rbX", x, whole=unit.whole)
        item.set_number("rbY", y, whole=unit.whole)


_AREA: Final = _Way("unit", _read_area, _write_area)
_RECTANGLE: Final = _Way(None, _read_rectangle, _write_rectangle)
_BOUNDARY: Final = _Way("rbUnit", _read_boundary, _write_boundary)
_LISTS: Final = (
    _Regions(_MWG, "Regions", "RegionList", ("Area",), _AREA),
    _Regions(_ACDSEE, "Regions", "RegionList", ("DLYArea", "ALGArea"), _AREA),
    _Regions(_MICROSOFT, "RegionInfo", "Regions", ("Rectangle",), _RECTANGLE),
    _Regions(_IPTC, "ImageRegion", None, ("RegionBoundary",), _BOUNDARY),
)
