"""scripts/tool make_place_tags: write imaging/metadata/place_tags.py from exiftool's tag tables.

exiftool puts every tag into a group by its subject, and "Location" is one. What it groups elsewhere
is found by name; such a tag has to be decided here, or nothing is written. The names of XMP
properties are taken from the packets that exiftool writes. `--text` prints the module instead.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple
from xml.etree import ElementTree

from toolkit import ROOT, programs

from imgbatch.imaging.metadata import positions, xml_tree
from imgbatch.imaging.metadata.positions import family
from imgbatch.imaging.metadata.xml_tree import Name

MODULE: Final = ROOT / "imgbatch" / "imaging" / "metadata" / "place_tags.py"
BLOCKS: Final = ("EXIF", "IPTC", "XMP")

Kind = Literal["position", "place"]
"""What a tag has: numbers, an area code or an identifier to look up, or a name to read."""

# Tags that could be about a place, by their names.
_PERHAPS: Final = re.compile(
    r"gps|(?<!a)geo|l[ao]\w{0,9}itude|altitude|location|coordinate|(?<!opa)city|country|province|state(?!ment)"
    r"|county|cell(?:id|tower|global)|compass|bearing|waypoint|w3w|what3|mapurl|venue|landmark"
    r"|address|postal|gdal|intergraph|pixelscale",
    re.IGNORECASE,
)
_NAMES: Final = re.compile(
    r"(?:DC|LocationCreated|LocationShown|RatingRegion)?"
    r"(?:City|County|Municipality|Sub-?location|Continent|Locality|VerbatimLocality|Coverage"
    r"|Country(?:Code|Name|-PrimaryLocation(?:Code|Name))?|(?:StateProvince|Province-?)?(?:State)?"
    r"|WorldRegion|(?:Higher)?Geography|Island(?:Group)?|WaterBody|ShotLocation"
    r"|(?:Terms|Content)?Location(?:Code|Name|Created|Shown|Remarks|AccordingTo)?)"
)
# Tags of other groups that tell a place, by the names that exiftool gives them.
_ALSO: Final = frozenset(
    {
        *("GPSDateTime", "GPSDateStamp", "GPSTimeStamp"),
        *("Location", "ShotLocation", "Geography", "Coverage"),
        *("GeoTiffDirectory", "GeoTiffDoubleParams", "GeoTiffAsciiParams"),
        *("PixelScale", "IntergraphMatrix", "GDALMetadata"),
    }
)
_NOT: Final[Mapping[str, str]] = {
    r"Creator\w+|Licensor\w+": "where somebody works, who gives that address",
    r"ISOSpeedLatitude\w+": "the latitude of a film",
    r"SubjectLocation|\w*MarkersLocation": "a place in the picture, or in a film",
    r"Geological\w*|OccurrenceGeoreference\w+": "nothing about where the place is",
    r"\w+AreaSourceState|ClassifyState": "the state of something",
    r"GDALNoData|IntergraphPacketData|IntergraphFlagRegisters": "no transformation",
    r"FaxSubAddress": "the extension of a telephone",
    r"Destination": "to whom a news agency sends the picture",
}
# Values of which each tag takes one: a number, a date, a choice.
_VALUES: Final = ("1", "2020:01:01 00:00:00", "True")
_RECORDS: Final = {"IPTC::EnvelopeRecord": 1, "IPTC::ApplicationRecord": 2}


class Tag(NamedTuple):
    """A tag about a place: its groups and name in exiftool, its table and number or name there."""

    block: str
    group: str
    name: str
    table: str
    id: str
    writable: bool
    structure: bool
    kind: Kind

    @property
    def full_name(self) -> str:
        """As exiftool takes it: `XMP-dwc:DCIsland`."""
        return f"{self.group}:{self.name}"


class UndecidedError(Exception):
    """exiftool has tags that could be about places, of which nobody has said whether they are."""


@cache
def tags() -> list[Tag]:
    """Every tag of EXIF, IPTC and XMP that tells a position or names a place.

    Raises UndecidedError.
    """
    found, undecided = [], []
    listing = _exiftool("-listx", "-f")
    for table in ElementTree.fromstring(listing):
        for entry in table.iter("tag"):
            name = entry.attrib["name"]
            group = {**table.attrib, **entry.attrib}
            if group["g0"] not in BLOCKS or any(re.fullmatch(pattern, name) for pattern in _NOT):
                continue
            if group["g2"] == "Location" or name in _ALSO:
                found.append(_tag(group, table.attrib["name"]))
            elif _PERHAPS.search(name):
                undecided.append(f"{group['g1']}:{name}")
    if undecided:
        raise UndecidedError(
            f"decide about {', '.join(undecided)}: are they about places? (_ALSO, _NOT)"
        )
    return found


def _tag(entry: Mapping[str, str], table: str) -> Tag:
    kind: Kind = "place" if _NAMES.fullmatch(entry["name"]) else "position"
    return Tag(
        entry["g0"],
        entry["g1"],
        entry["name"],
        table,
        entry["id"],
        entry["writable"] == "true",
        entry["name"] in ("DCTermsLocation", "LocationCreated", "LocationShown"),
        kind,
    )


def _exiftool(*words: str) -> str:
    command = [programs.path_of("exiftool"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def version() -> str:
    """exiftool's."""
    return _exiftool("-ver").strip()


def properties(wanted: Iterable[Tag]) -> Iterator[tuple[Tag, list[Name]]]:
    """The XMP properties that exiftool writes for tags: from the outermost to the value's own."""
    xmp = [one for one in wanted if one.block == "XMP" and one.writable and not one.structure]
    with tempfile.TemporaryDirectory() as folder:
        words: list[str] = []
        for number, tag in enumerate(xmp):
            for value in _VALUES:
                words += ["-n", f"-{tag.full_name}={value}", "-o", f"{folder}/{number}.xmp"]
                words.append("-execute")
        arguments = Path(folder, "arguments")
        arguments.write_text("\n".join(words), encoding="utf-8")
        _exiftool("-@", str(arguments))
        for number, tag in enumerate(xmp):
            packet = Path(folder, f"{number}.xmp")
            if packet.exists():
                yield tag, _path(xml_tree.parsed(packet.read_bytes()))


def _path(element: xml_tree.Element) -> list[Name]:
    """The names of the elements down to the only value of a packet, without those of RDF."""
    below = max((_path(one) for one in element.elements), key=len, default=[])
    own = [] if element.name[0] in _FRAME else [element.name]
    return own + below


_FRAME: Final = ("", "adobe:ns:meta/", "http://www.w3.org/1999/02/22-rdf-syntax-ns#")


def module() -> str:
    """The text of the module; what `positions` finds by its name is left out."""
    found = tags()
    simple: dict[Kind, set[Name]] = {"position": set(), "place": set()}
    within: set[tuple[str, Name]] = set()
    paths = list(properties(found))
    alone = {path[-1] for _, path in paths if len(path) == 1}
    for tag, path in paths:
        namespace, name = path[-1]
        one = family(namespace), name
        if positions.in_name(name):
            continue
        if family(path[0][0]) == one[0] or path[-1] in alone:
            simple[tag.kind].add(one)
        else:
            # A name that means something else in other structures.
            within.add((path[-2][1], one))
        if tag.kind == "place" and len(path) > 1 and path[0][1] == path[-2][1]:
            simple["place"].add((family(path[0][0]), path[0][1]))
    exif = sorted(
        {int(one.id) for one in found if one.block == "EXIF" and one.table == "Exif::Main"}
    )
    iptc = sorted({(_RECORDS[one.table], int(one.id)) for one in found if one.block == "IPTC"})
    text = "\n".join(
        [
            _HEAD.format(version=version()),
            _table("EXIF_POSITIONS", (f"0x{one:04X}" for one in exif)),
            _table("IPTC_PLACES", map(str, iptc)),
            *_mapping("XMP_POSITIONS", simple["position"]),
            *_mapping("XMP_PLACES", simple["place"]),
            _table("XMP_POSITIONS_WITHIN", (_quoted(one) for one in sorted(within))),
        ]
    )
    return _formatted(text)


_HEAD: Final = '''\
"""Every tag that tells a position or names a place, in the tables of exiftool {version}.

Written by `scripts/tool make_place_tags`; `positions` says what they mean, and is their only user.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final
'''


def _quoted(one: tuple[str, Name]) -> str:
    structure, (namespace, name) = one
    return f'("{structure}", ("{namespace}", "{name}"))'


def _table(name: str, entries: Iterable[str]) -> str:
    return f"{name}: Final = frozenset({{{', '.join(entries)}}})"


def _mapping(name: str, entries: Iterable[Name]) -> Iterator[str]:
    by_family: dict[str, set[str]] = defaultdict(set)
    for namespace, local in entries:
        by_family[namespace].add(local)
    yield f"{name}: Final = MappingProxyType({{"
    for namespace, names in sorted(by_family.items()):
        yield f'"{namespace}": frozenset(({", ".join(map(json.dumps, sorted(names)))},)),'
    yield "})"


def _formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "-", "--stdin-filename", str(MODULE)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Write or print the module; the exit code is 1 if a tag is undecided."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", action="store_true", help="print it, and write nothing")
    options = parser.parse_args()
    try:
        text = module()
    except UndecidedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.text:
        sys.stdout.write(text)
    else:
        MODULE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
