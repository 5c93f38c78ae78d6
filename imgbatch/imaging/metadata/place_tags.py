"""Every tag that tells a position or names a place, in the tables of exiftool 12.57.

Written by `scripts/tool make_place_tags`; `positions` says what they mean, and is their only user.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

EXIF_POSITIONS: Final = frozenset({0x830E, 0x8480, 0x8482, 0x85D8, 0x87AF, 0x87B0, 0x87B1, 0xA480})
IPTC_PLACES: Final = frozenset({(2, 26), (2, 27), (2, 90), (2, 92), (2, 95), (2, 100), (2, 101)})
XMP_POSITIONS: Final = MappingProxyType(
    {
        "http://developer.sonyericsson.com/cell": frozenset(
            (
                "cellid",
                "cgi",
                "lac",
                "mcc",
                "mnc",
                "r",
            )
        ),
        "http://iptc.org/std/Iptc4xmpExt": frozenset(("LocationId",)),
        "http://ns.google.com/photos/dd/1.0": frozenset(
            (
                "PositionX",
                "PositionY",
                "PositionZ",
                "RotationW",
                "RotationX",
                "RotationY",
                "RotationZ",
            )
        ),
        "http://rs.tdwg.org/dwc": frozenset(
            (
                "coordinatePrecision",
                "coordinateUncertaintyInMeters",
                "footprintSRS",
                "footprintSpatialFit",
                "footprintWKT",
                "geodeticDatum",
                "georeferenceProtocol",
                "georeferenceRemarks",
                "georeferenceSources",
                "georeferenceVerificationStatus",
                "georeferencedBy",
                "georeferencedDate",
                "higherGeographyID",
                "locationID",
                "maximumDepthInMeters",
                "maximumDistanceAboveSurfaceInMeters",
                "maximumElevationInMeters",
                "minimumDepthInMeters",
                "minimumDistanceAboveSurfaceInMeters",
                "minimumElevationInMeters",
                "pointRadiusSpatialFit",
                "verbatimCoordinateSystem",
                "verbatimCoordinates",
                "verbatimDepth",
                "verbatimElevation",
                "verbatimSRS",
                "verticalDatum",
            )
        ),
        "http://www.dji.com/drone-dji": frozenset(
            (
                "CamReverse",
                "FlightPitchDegree",
                "FlightRollDegree",
                "FlightXSpeed",
                "FlightYSpeed",
                "FlightYawDegree",
                "FlightZSpeed",
                "GimbalPitchDegree",
                "GimbalReverse",
                "GimbalRollDegree",
                "GimbalYawDegree",
                "RtkFlag",
                "RtkStdHgt",
                "RtkStdLat",
                "RtkStdLon",
            )
        ),
    }
)
XMP_PLACES: Final = MappingProxyType(
    {
        "http://iptc.org/std/Iptc4xmpCore/1.0": frozenset(
            (
                "CountryCode",
                "Location",
            )
        ),
        "http://iptc.org/std/Iptc4xmpExt": frozenset(
            (
                "City",
                "CountryCode",
                "CountryName",
                "LocationCreated",
                "LocationName",
                "LocationShown",
                "ProvinceState",
                "Sublocation",
                "WorldRegion",
            )
        ),
        "http://ns.adobe.com/photoshop": frozenset(
            (
                "City",
                "Country",
                "State",
            )
        ),
        "http://ns.adobe.com/xmp/1.0": frozenset(("shotLocation",)),
        "http://ns.camerabits.com/photomechanic": frozenset(("CountryCode",)),
        "http://ns.iview-multimedia.com/mediapro": frozenset(("Location",)),
        "http://prismstandard.org/namespaces/basic": frozenset(("location",)),
        "http://prismstandard.org/namespaces/pmi": frozenset(("location",)),
        "http://prismstandard.org/namespaces/prl": frozenset(("geography",)),
        "http://purl.org/dc/elements": frozenset(("coverage",)),
        "http://rs.tdwg.org/dwc": frozenset(
            (
                "continent",
                "country",
                "countryCode",
                "county",
                "dctermsLocation",
                "higherGeography",
                "island",
                "islandGroup",
                "locality",
                "locationAccordingTo",
                "locationRemarks",
                "municipality",
                "stateProvince",
                "verbatimLocality",
                "waterBody",
            )
        ),
    }
)
XMP_POSITIONS_WITHIN: Final = frozenset(
    {
        ("LocationCreated", ("http://ns.adobe.com/xap", "Identifier")),
        ("LocationShown", ("http://ns.adobe.com/xap", "Identifier")),
        ("RatingRegion", ("http://ns.adobe.com/xap", "Identifier")),
    }
)
