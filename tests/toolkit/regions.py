"""XMP packets that tell places in a picture, and the places that exiftool reads in outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""

NAME: Final = "Ann Example"

_NAMESPACES: Final = {
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "acdsee-rs": "http://ns.acdsee.com/regions/",
    "acdsee-stArea": "http://ns.acdsee.com/sType/Area#",
    "acdsee-stDim": "http://ns.acdsee.com/sType/Dimensions#",
    "apple-fi": "http://ns.apple.com/faceinfo/1.0/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "GFocus": "http://ns.google.com/photos/1.0/focus/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "drone-dji": "http://www.dji.com/drone-dji/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
}


def packet(elements: str = "", attributes: str = "") -> bytes:
    """An XMP packet with these properties, in which nothing else is declared."""
    body = f"{attributes} {elements}"
    prefixes = " ".join(
        f'xmlns:{prefix}="{name}"' for prefix, name in _NAMESPACES.items() if f"{prefix}:" in body
    )
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {prefixes} {attributes}>{elements}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def mwg(
    boxes: Sequence[Box],
    size: tuple[int, int],
    *,
    applied_to: tuple[int, int] | None = None,
    unit: str = "normalized",
    extension: str = "",
) -> str:
    """Face regions as digiKam and Lightroom write them, named `NAME` and a number."""
    width, height = applied_to or size
    across, down = size if unit == "normalized" else (size[0] / width, size[1] / height)
    items = "".join(
        '<rdf:li><rdf:Description mwg-rs:Type="Face" '
        f'mwg-rs:Name="{NAME} {number}"><mwg-rs:Area stArea:x="{(left + right) / 2 / across}" '
        f'stArea:y="{(top + bottom) / 2 / down}" stArea:w="{(right - left) / across}" '
        f'stArea:h="{(bottom - top) / down}" stArea:unit="{unit}"/>{extension}'
        "</rdf:Description></rdf:li>"
        for number, (left, top, right, bottom) in enumerate(boxes)
    )
    return (
        '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions '
        f'stDim:w="{width}" stDim:h="{height}" stDim:unit="pixel"/>'
        f"<mwg-rs:RegionList><rdf:Bag>{items}</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
    )


def mwg_area(**numbers: float) -> str:
    """A face region with an area of these numbers."""
    fields = " ".join(f'stArea:{name}="{value}"' for name, value in numbers.items())
    return (
        '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag>'
        f'<rdf:li rdf:parseType="Resource"><mwg-rs:Name>{NAME}</mwg-rs:Name>'
        f'<mwg-rs:Area {fields} stArea:unit="normalized"/></rdf:li>'
        "</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
    )


def microsoft(boxes: Sequence[Box], size: tuple[int, int]) -> str:
    """People tags as Windows writes them."""
    width, height = size
    items = "".join(
        '<rdf:li rdf:parseType="Resource"><MPReg:Rectangle>'
        f"{left / width}, {top / height}, {(right - left) / width}, {(bottom - top) / height}"
        f"</MPReg:Rectangle><MPReg:PersonDisplayName>{NAME} {number}</MPReg:PersonDisplayName>"
        "</rdf:li>"
        for number, (left, top, right, bottom) in enumerate(boxes)
    )
    return (
        '<MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag>'
        f"{items}</rdf:Bag></MPRI:Regions></MP:RegionInfo>"
    )


def acdsee(boxes: Sequence[Box], size: tuple[int, int]) -> str:
    """Face regions as ACDSee writes them."""
    width, height = size

    def area(name: str, box: Box) -> str:
        left, top, right, bottom = box
        return (
            f'<acdsee-rs:{name} rdf:parseType="Resource">'
            f"<acdsee-stArea:h>{(bottom - top) / height}</acdsee-stArea:h>"
            f"<acdsee-stArea:w>{(right - left) / width}</acdsee-stArea:w>"
            f"<acdsee-stArea:x>{(left + right) / 2 / width}</acdsee-stArea:x>"
            f"<acdsee-stArea:y>{(top + bottom) / 2 / height}</acdsee-stArea:y></acdsee-rs:{name}>"
        )

    items = "".join(
        f'<rdf:li rdf:parseType="Resource">{area("DLYArea", box)}{area("ALGArea", box)}'
        f"<acdsee-rs:Name>{NAME} {number}</acdsee-rs:Name></rdf:li>"
        for number, box in enumerate(boxes)
    )
    return (
        '<acdsee-rs:Regions rdf:parseType="Resource"><acdsee-rs:AppliedToDimensions '
        f'acdsee-stDim:h="{height}" acdsee-stDim:w="{width}" acdsee-stDim:unit="pixel"/>'
        f"<acdsee-rs:RegionList><rdf:Bag>{items}</rdf:Bag></acdsee-rs:RegionList>"
        "</acdsee-rs:Regions>"
    )


def iptc(*boundaries: str) -> str:
    """IPTC image regions with these boundaries."""
    items = "".join(
        f'<rdf:li rdf:parseType="Resource"><Iptc4xmpExt:RegionBoundary rdf:parseType="Resource">'
        f"{boundary}</Iptc4xmpExt:RegionBoundary>"
        f"<Iptc4xmpExt:rId>region{number}</Iptc4xmpExt:rId></rdf:li>"
        for number, boundary in enumerate(boundaries)
    )
    return f"<Iptc4xmpExt:ImageRegion><rdf:Bag>{items}</rdf:Bag></Iptc4xmpExt:ImageRegion>"


def boundary(
    shape: str, unit: str, vertices: Sequence[tuple[float, float]] = (), /, **numbers: float
) -> str:
    """A boundary: of a rectangle (rbX, rbY, rbW, rbH), circle (rbX, rbY, rbRx), or polygon."""
    fields = "".join(
        f"<Iptc4xmpExt:{name}>{value}</Iptc4xmpExt:{name}>" for name, value in numbers.items()
    )
    corners = "".join(
        f'<rdf:li rdf:parseType="Resource"><Iptc4xmpExt:rbX>{x}</Iptc4xmpExt:rbX>'
        f"<Iptc4xmpExt:rbY>{y}</Iptc4xmpExt:rbY></rdf:li>"
        for x, y in vertices
    )
    if corners:
        fields += f"<Iptc4xmpExt:rbVertices><rdf:Seq>{corners}</rdf:Seq></Iptc4xmpExt:rbVertices>"
    return (
        f"<Iptc4xmpExt:rbShape>{shape}</Iptc4xmpExt:rbShape>"
        f"<Iptc4xmpExt:rbUnit>{unit}</Iptc4xmpExt:rbUnit>{fields}"
    )


def mwg_boxes(tags: dict[str, Any]) -> list[Box]:
    """Where exiftool finds MWG's regions, in the pixels that they apply to."""
    info = tags.get("XMP-mwg-rs:RegionInfo", {})
    return [_centred(one["Area"], *_size(tags)) for one in info.get("RegionList", [])]


def acdsee_boxes(tags: dict[str, Any], name: str = "DLYArea") -> list[Box]:
    """Where exiftool finds ACDSee's regions."""
    info = tags.get("XMP-acdsee-rs:Regions", tags.get("XMP-acdsee-rs:RegionInfoACDSee", {}))
    return [_centred(one[name], *_size(tags)) for one in info.get("RegionList", [])]


def microsoft_boxes(tags: dict[str, Any]) -> list[Box]:
    """Where exiftool finds Microsoft's people tags."""
    width, height = _size(tags)
    found = []
    for one in tags.get("XMP-MP:RegionInfoMP", {}).get("Regions", []):
        left, top, across, down = map(float, one["Rectangle"].split(","))
        box = left * width, top * height, (left + across) * width, (top + down) * height
        found.append(box)
    return found


def boundaries(tags: dict[str, Any]) -> list[dict[str, Any]]:
    """The boundaries of IPTC's image regions as exiftool reads them."""
    return [_read(one["RegionBoundary"]) for one in tags.get("XMP-iptcExt:ImageRegion", [])]


def _read(found: dict[str, Any]) -> dict[str, Any]:
    """With numbers: exiftool gives those with many digits as strings."""
    return {
        name: [_read(one) for one in value]
        if isinstance(value, list)
        else value
        if name in ("RbShape", "RbUnit")
        else float(value)
        for name, value in found.items()
    }


def numbers(tags: dict[str, Any], name: str) -> list[float]:
    """The numbers of a tag as exiftool reads them."""
    return [float(one) for one in str(tags[name]).split()] if name in tags else []


def _size(tags: dict[str, Any]) -> tuple[int, int]:
    width, height = str(tags["Composite:ImageSize"]).replace("x", " ").split()
    return int(width), int(height)


def _centred(area: dict[str, Any], width: float, height: float) -> Box:
    x, y, across, down = (float(area[name]) for name in "XYWH")
    return (
        (x - across / 2) * width,
        (y - down / 2) * height,
        (x + across / 2) * width,
        (y + down / 2) * height,
    )
