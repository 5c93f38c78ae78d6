"""Properties of XMP that tell a place or a scale in the picture, besides its regions.

Panoramas: Google's Photo Sphere XMP Metadata. Crops that are still to be made: Adobe's Camera Raw
namespace (XMP specification, part 2). EXIF's own tags in XMP (the same).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from imgbatch.imaging.metadata import regions, xmp
from imgbatch.imaging.metadata.geometry_exif import focal_plane, subject
from imgbatch.imaging.metadata.rdf import Edits, Fields, TooLongError, decimal, number
from imgbatch.imaging.metadata.shapes import Rectangle, Spot

if TYPE_CHECKING:
    from imgbatch.imaging.affine import Geometry
    from imgbatch.imaging.metadata.xml_tree import Element

_PANORAMA: Final = "http://ns.google.com/photos/1.0/panorama/"
_FOCUS: Final = "http://ns.google.com/photos/1.0/focus/"
_CAMERA_RAW: Final = "http://ns.adobe.com/camera-raw-settings/1.0/"
_DRONE: Final = "http://www.dji.com/drone-dji/1.0/"
_EXIF: Final = "http://ns.adobe.com/exif/1.0/"

# Of a panorama: sizes across and down, and where the picture is in it.
_FULL: Final = ("FullPanoWidthPixels", "FullPanoHeightPixels")
_CROPPED_SIZE: Final = ("CroppedAreaImageWidthPixels", "CroppedAreaImageHeightPixels")
_CROPPED_PLACE: Final = ("CroppedAreaLeftPixels", "CroppedAreaTopPixels")
_INTERIOR: Final = tuple(
    f"LargestValidInteriorRect{one}" for one in ("Left", "Top", "Width", "Height")
)
_OF_PANORAMA: Final = (
    *("ProjectionType", "UsePanoramaViewer", *_FULL, *_CROPPED_SIZE, *_CROPPED_PLACE, *_INTERIOR),
    *("PoseHeadingDegrees", "PosePitchDegrees", "PoseRollDegrees", "InitialCameraDolly"),
    *("InitialViewHeadingDegrees", "InitialViewPitchDegrees", "InitialViewRollDegrees"),
    *("InitialHorizontalFOVDegrees", "InitialVerticalFOVDegrees"),
)
_UNEVEN: Final = 1.02
"""By what factor the proportions of a panorama's sizes may differ from the picture's."""
_CROP: Final = ("CropLeft", "CropTop", "CropRight", "CropBottom")
_OF_CROP: Final = (
    *(*_CROP, "HasCrop", "CropAngle", "CropWidth", "CropHeight", "CropUnit", "CropUnits"),
    "CropConstrainToWarp",
)
_RETOUCHED: Final = (
    *("RetouchInfo", "RetouchAreas", "RedEyeInfo", "PaintBasedCorrections"),
    *("GradientBasedCorrections", "CircularGradientBasedCorrections"),
    "MaskGroupBasedCorrections",
)
_SUBJECTS: Final = ("SubjectArea", "SubjectLocation")
_FOCAL_PLANE: Final = ("FocalPlaneXResolution", "FocalPlaneYResolution")
_CENTRE: Final = ("CalibratedOpticalCenterX", "CalibratedOpticalCenterY")
_FOCAL_LENGTH: Final = "CalibratedFocalLength"
_DEWARPING: Final = "DewarpData"


def moved(packet: bytes, geometry: Geometry) -> tuple[bytes, list[str]]:
    """A packet for what became of the picture; and what could not be kept, in words.

    The very same bytes if nothing in it changes. Raises ValueError if it cannot be read, or
    if a number in it makes no sense.
    """
    lost: list[str] = []

    def edit(descriptions: list[Element]) -> bool:
        edits = Edits()

        def properties(namespace: str) -> Fields:
            return Fields(descriptions, edits, namespace)

        try:
            regions.move(properties, geometry, lost)
            for namespace, move in _MOVES.items():
                move(properties(namespace), geometry, lost)
        except TooLongError:
            raise
        except (ArithmeticError, ValueError):
            raise ValueError("a number in it cannot be calculated with") from None
        return edits.made > 0

    return xmp.edited(packet, edit), lost


def _move_panorama(panorama: Fields, geometry: Geometry, lost: list[str]) -> None:
    """An equirectangular picture remains one if it is resized or cropped, and nothing else."""
    frame = regions.upright(geometry)
    names = (*_FULL, *_CROPPED_SIZE)
    if not any(name in panorama for name in (*names, "ProjectionType")):
        return
    numbers = [panorama.number(name) for name in names]
    if geometry.is_whole and not any(name in panorama for name in names):
        # All it says is how the picture is projected.
        return
    sizes = [one for one in numbers if one is not None and one > 0]
    scales = (
        _panorama_scales(frame, sizes, geometry) if frame and len(sizes) == len(names) else None
    )
    if frame is None or scales is None:
        panorama.remove(*_OF_PANORAMA)
        lost.append("panorama data (GPano) dropped: the picture is no longer such a panorama")
        return
    for axis, (scale, offset) in enumerate(zip(scales, frame.affine[2::3], strict=True)):
        side = geometry.size[axis]
        place = max(0, round((panorama.number(_CROPPED_PLACE[axis]) or 0) * scale - offset))
        panorama.set_number(_FULL[axis], max(round(sizes[axis] * scale), place + side), whole=True)
        panorama.set_number(_CROPPED_SIZE[axis], side, whole=True)
        if place:
            panorama.add(_CROPPED_PLACE[axis], str(place), beside=_CROPPED_SIZE[axis])
        elif _CROPPED_PLACE[axis] in panorama:
            panorama.set_number(_CROPPED_PLACE[axis], 0, whole=True)
    _move_interior(panorama, frame, geometry)


def _panorama_scales(
    frame: regions.Frame, sizes: Sequence[float], geometry: Geometry
) -> tuple[float, float] | None:
    """Pixels of the output for one of a panorama, across and down; None if it remains none.

    It remains one if it was only resized in proportion and cropped, and has no border. Its own
    numbers may be older: a program that does not know them may have resized it, too.
    """
    across, down = frame.affine.xx, frame.affine.yy
    covered = all(
        abs(found - wanted) < 0.5
        for found, wanted in zip(geometry.box, (0, 0, *geometry.size), strict=True)
    )
    if not (covered and frame.affine.only_scales):
        return None
    scales = across * frame.size[0] / sizes[2], down * frame.size[1] / sizes[3]
    # Sizes are rounded to whole pixels.
    most = _UNEVEN + 1 / min(geometry.size)
    return scales if max(scales) <= most * min(scales) else None


def _move_interior(panorama: Fields, frame: regions.Frame, geometry: Geometry) -> None:
    left, top, width, height = (panorama.number(name) for name in _INTERIOR)
    if left is None or top is None or width is None or height is None:
        return
    whole = Rectangle(left, top, left + width, top + height)
    shown = whole.shown(frame.affine, geometry.box)
    if shown is None:
        panorama.remove(*_INTERIOR)
        return
    for name, value in zip(_INTERIOR, (shown.left, shown.top, *shown.size), strict=True):
        panorama.set_number(name, value, whole=True)


def _move_focus(focus: Fields, geometry: Geometry, lost: list[str]) -> None:
    """Where Google's camera focused, in fractions of the picture."""
    names, frame = ("FocalPointX", "FocalPointY"), regions.stored(geometry)
    if frame is None:
        if focus.remove(*names):
            lost.append("Google's focus point dropped: its place in the picture is not known")
        return
    x, y = (focus.number(name) for name in names)
    if x is None or y is None or geometry.is_whole:
        return
    width, height = geometry.stored
    spot = Spot(x * width, y * height).shown(frame.affine, geometry.box)
    if spot is None:
        focus.remove(*names)
        return
    for name, at, side in zip(names, spot, geometry.size, strict=True):
        focus.set_number(name, at / side)


def _move_camera_raw(settings: Fields, geometry: Geometry, lost: list[str]) -> None:
    """A crop and local edits that are still to be made.

    Those that were made already are history, and tell no place in this picture.
    """
    if geometry.is_whole or _is_true(settings, "AlreadyApplied"):
        return
    if settings.remove(*_RETOUCHED):
        lost.append("local edits (crs) dropped: their places in the picture have changed")
    if not _is_true(settings, "HasCrop"):
        return
    numbers = [settings.number(name) for name in _CROP]
    frame, angle = regions.stored(geometry), settings.number("CropAngle") or 0
    right_angles = frame is not None and not (
        (frame.affine.xx or frame.affine.yy) and (frame.affine.xy or frame.affine.yx)
    )
    sides = [one for one in numbers if one is not None]
    shown = None
    if frame and right_angles and not angle and len(sides) == len(_CROP):
        width, height = geometry.stored
        whole = Rectangle(sides[0] * width, sides[1] * height, sides[2] * width, sides[3] * height)
        shown = whole.shown(frame.affine, geometry.box)
    if shown is None:
        settings.remove(*_OF_CROP)
        lost.append("crop settings (crs) dropped: they do not fit the changed picture")
        return
    settings.remove("CropWidth", "CropHeight", "CropUnit", "CropUnits")
    for name, at, side in zip(_CROP, shown, 2 * geometry.size, strict=True):
        settings.set_number(name, at / side)


def _is_true(fields: Fields, name: str) -> bool:
    return (fields.text(name) or "").lower() == "true"


def _move_drone(drone: Fields, geometry: Geometry, lost: list[str]) -> None:
    """A lens calibration in pixels: focal length, and where the optical axis meets the picture."""
    if not any(name in drone for name in (_FOCAL_LENGTH, *_CENTRE, _DEWARPING)):
        return
    frame = regions.stored(geometry)
    if frame is None or not frame.affine.only_scales:
        drone.remove(_FOCAL_LENGTH, *_CENTRE, _DEWARPING)
        lost.append("the lens calibration dropped: it does not fit the turned picture")
        return
    across, down = frame.affine.xx, frame.affine.yy
    focal = drone.number(_FOCAL_LENGTH)
    if focal is not None:
        drone.set_number(_FOCAL_LENGTH, focal * (across + down) / 2)
    x, y = (drone.number(name) for name in _CENTRE)
    if x is not None and y is not None:
        for name, at in zip(_CENTRE, frame.affine.at(x, y), strict=True):
            drone.set_number(name, at)
    _move_dewarping(drone, frame, geometry)


def _move_dewarping(drone: Fields, frame: regions.Frame, geometry: Geometry) -> None:
    """Date; focal lengths, the centre from that of the picture, and coefficients for no unit."""
    day, _, rest = (drone.text(_DEWARPING) or "").partition(";")
    numbers = [number(one) for one in rest.split(",")]
    known = [one for one in numbers if one is not None]
    if len(known) < 4 or len(known) < len(numbers):
        return
    x, y = frame.affine.at(frame.size[0] / 2 + known[2], frame.size[1] / 2 + known[3])
    known[0] *= frame.affine.xx
    known[1] *= frame.affine.yy
    known[2:4] = x - geometry.size[0] / 2, y - geometry.size[1] / 2
    changed = [decimal(one) for one in known[:4]]
    drone.set(_DEWARPING, f"{day};{','.join([*changed, *rest.split(',')[4:]])}")


def _move_exif(properties: Fields, geometry: Geometry, lost: list[str]) -> None:
    """SubjectArea, SubjectLocation and the resolution of the focal plane, as in EXIF."""
    frame = regions.stored(geometry)
    if frame is None:
        if properties.remove(*_SUBJECTS, *_FOCAL_PLANE):
            lost.append("tags of EXIF in XMP that tell a place in the picture were dropped")
        return
    for name in _SUBJECTS:
        items = properties.items(name)
        found = [number(one.value) for one in items]
        numbers = [one for one in found if one is not None]
        shown = subject(numbers, frame.affine, geometry.box) if len(numbers) == len(found) else None
        if shown is None:
            properties.remove(name)
            continue
        items += items[-1].repeated(max(0, len(shown) - len(items)))
        for item, value in zip(items, shown, strict=True):
            item.set_value(str(value))
    across, down = (properties.number(name) for name in _FOCAL_PLANE)
    if across and down:
        made = focal_plane((across, down), frame.affine)
        for name, before, after in zip(_FOCAL_PLANE, (across, down), made, strict=True):
            if abs(after - before) > 1e-6 * before:
                properties.set(name, f"{round(after * 10_000)}/10000")


_MOVES: Final[dict[str, Callable[[Fields, Geometry, list[str]], None]]] = {
    _PANORAMA: _move_panorama,
    _FOCUS: _move_focus,
    _CAMERA_RAW: _move_camera_raw,
    _DRONE: _move_drone,
    _EXIF: _move_exif,
}
