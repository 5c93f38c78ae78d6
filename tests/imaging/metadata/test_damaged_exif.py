"""One bad number in an EXIF block costs what hangs on it, and nothing else. Judge: exiftool."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit import pictures
from toolkit.metadata import exiftool_tags, made, serious, small_tiff, with_exiftool
from toolkit.pictures import Order, with_segments

from imgbatch.imaging.metadata import embedded, exif_structure
from imgbatch.imaging.metadata.exif import Exif

NAMES: Final = {0x8769: "ExifIFD", 0x8825: "GPS", 0xA005: "InteropIFD"}
SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}


class Number(NamedTuple):
    """A number of a block: the directory it is in, what it is, where, and the tag of its entry."""

    directory: str
    what: str
    at: int
    form: str
    tag: int = 0


class Whole(NamedTuple):
    """An undamaged block, taken apart: its numbers, and the entries of each directory."""

    block: bytes
    numbers: list[Number]
    entries: dict[str, list[tuple[int, int, int, bytes]]]


def parents(name: str) -> list[str]:
    """A directory and those that it hangs on."""
    return {"InteropIFD": ["InteropIFD", "ExifIFD", "IFD0"]}.get(name, [name, "IFD0"])


def entry(block: bytes, order: str, at: int) -> tuple[int, int, int, bytes]:
    """Tag, type, count and value of the entry at an offset, by TIFF 6.0."""
    tag, kind, count = struct.unpack_from(order + "HHI", block, at)
    length = SIZES.get(kind, 0) * count
    (place,) = struct.unpack_from(order + "I", block, at + 8) if length > 4 else (at + 8,)
    return tag, kind, count, block[place : place + length]


def taken_apart(block: bytes, order: str) -> Whole:
    """Follow all pointers of a sound block."""
    numbers: list[Number] = []
    found: dict[str, list[tuple[int, int, int, bytes]]] = {}
    pending = [("IFD0", struct.unpack_from(order + "I", block, 4)[0])]
    for name, ifd in pending:
        numbers.append(Number(name, "count", ifd, "H"))
        found[name] = entries = []
        (count,) = struct.unpack_from(order + "H", block, ifd)
        for at in range(ifd + 2, ifd + 2 + 12 * count, 12):
            tag, kind, number, value = entry(block, order, at)
            numbers += [
                Number(name, "tag", at, "H", tag),
                Number(name, "type", at + 2, "H", tag),
                Number(name, "number", at + 4, "I", tag),
                Number(name, "cell", at + 8, "I", tag),
            ]
            if tag in NAMES:
                pending.append((NAMES[tag], struct.unpack_from(order + "I", block, at + 8)[0]))
            else:
                entries.append((tag, kind, number, value))
        if name == "IFD0":
            numbers.append(Number(name, "link", ifd + 2 + 12 * count, "I"))
    return Whole(block, numbers, found)


ORDERS: Final[tuple[Order, ...]] = ("<", ">")
RICH: Final = {
    order: taken_apart(pictures.exif_block(order, orientation=1).block, order) for order in ORDERS
}


def damaged(block: bytes, order: str, number: Number, value: int) -> bytes:
    width = struct.calcsize(number.form)
    packed = struct.pack(order + number.form, value & ((1 << 8 * width) - 1))
    return block[: number.at] + packed + block[number.at + width :]


def hanging(number: Number) -> set[str]:
    """The directories that hang on a number."""
    if number.what == "link":
        return set()
    if number.what == "count":
        return {name for name in ("IFD0", *NAMES.values()) if number.directory in parents(name)}
    below = NAMES.get(number.tag)
    return {name for name in NAMES.values() if below in parents(name)} if below else set()


def values(whole: Whole, random: Random) -> Iterator[int]:
    """What a damaged number becomes: somewhere in the block, just off, or anything."""
    size = len(whole.block)
    places = [0, 7, 8, size - 2, size, size + 100, 0xFFFF, 0xFFFFFFFF]
    while True:
        yield random.choice((random.choice(places), random.randrange(size), random.getrandbits(32)))


def assert_the_rest_is_kept(whole: Whole, order: Order, number: Number, value: int) -> None:
    try:
        exif = Exif(damaged(whole.block, order, number, value))
    except ValueError:
        assert (number.directory, number.what) == ("IFD0", "count")
        return
    after = taken_apart(exif.tobytes(), order).entries
    lost = hanging(number)
    for name, entries in whole.entries.items():
        if name in lost:
            continue
        assert name in after, f"{number} = {value}: {name} is gone"
        for one in entries:
            if (name, one[0]) != (number.directory, number.tag):
                assert one in after[name], f"{number} = {value}: 0x{one[0]:04X} of {name}"


def test_sound_blocks_stay_as_they_are() -> None:
    small = pictures.tiff_header("<") + pictures.directory("<", [(0x0112, 3, b"\1\0")], 8)
    for block in (*(whole.block for whole in RICH.values()), small):
        assert Exif(block).tobytes() == block
    # Only a missing last link is added.
    assert Exif(small[:-4]).tobytes() == small


@pytest.mark.slow
@settings(max_examples=1_000, deadline=None, derandomize=True, database=None)
@given(data=st.data(), order=st.sampled_from(["<", ">"]))
def test_what_does_not_hang_on_a_damaged_number_stays(data: st.DataObject, order: Order) -> None:
    whole = RICH[order]
    number = data.draw(st.sampled_from(whole.numbers))
    size = len(whole.block)
    value = data.draw(st.integers(0, size + 4) | st.integers(0, 2**32 - 1))
    assert_the_rest_is_kept(whole, order, number, value)


def placed(whole: Whole, directory: str, tag: int, what: str) -> Number:
    return next(
        one for one in whole.numbers if (one.directory, one.what, one.tag) == (directory, what, tag)
    )


def place_of(whole: Whole, name: str) -> int:
    """Where a directory begins."""
    return next(one.at for one in whole.numbers if (one.directory, one.what) == (name, "count"))


def with_exif(block: bytes) -> bytes:
    plain = pictures.saved(pictures.quarters(), "JPEG", quality=90)
    return with_segments(plain, [(0xFFE1, b"Exif\0\0" + block)])


POINTED: Final = RICH["<"]
CASES: Final = {
    "GPS is the first directory again": ("IFD0", 0x8825, "cell", 8, {"GPS"}),
    "GPS is the Exif directory": ("IFD0", 0x8825, "cell", place_of(POINTED, "ExifIFD"), {"GPS"}),
    "GPS beyond the end": ("IFD0", 0x8825, "cell", 0x00FFFFFF, {"GPS"}),
    "GPS in the header": ("IFD0", 0x8825, "cell", 4, {"GPS"}),
    "GPS of no known type": ("IFD0", 0x8825, "type", 200, set()),
    "GPS of several values": ("IFD0", 0x8825, "number", 3, set()),
    "Exif is GPS": (
        *("IFD0", 0x8769, "cell", place_of(POINTED, "GPS")),
        {"ExifIFD", "InteropIFD", "Testa"},
    ),
    "Exif is the first directory again": (
        *("IFD0", 0x8769, "cell", 8),
        {"ExifIFD", "InteropIFD", "Testa"},
    ),
    "interoperability is GPS": (
        *("ExifIFD", 0xA005, "cell", place_of(POINTED, "GPS")),
        {"InteropIFD"},
    ),
    "too many GPS tags": ("GPS", 0, "count", 0xFFFF, set()),
    "one Exif tag too many": ("ExifIFD", 0, "count", 7, set()),
    "a text beyond the end": ("IFD0", 0x010F, "cell", 0x00FFFFFF, {"IFD0:Make"}),
    "a text in the header": ("IFD0", 0x010F, "cell", 0, {"IFD0:Make"}),
    "a text over its own directory": ("IFD0", 0x010F, "cell", 20, {"IFD0:Make"}),
    "a text that is too long": ("IFD0", 0x013B, "number", 0x7FFFFFFF, {"IFD0:Artist"}),
    "a number of no known type": ("IFD0", 0x011B, "type", 0, {"IFD0:YResolution"}),
    "MakerNotes beyond the end": (
        *("ExifIFD", 0x927C, "cell", 0x00FFFFFF),
        {"ExifIFD:MakerNoteUnknownText"},
    ),
}
"""Directory, tag and number that is damaged, its new value, and the groups or tags it costs."""


@pytest.mark.slow
@with_exiftool
def test_one_bad_number_costs_what_hangs_on_it(tmp_path: Path) -> None:
    """Exiftool finds everything in the output that it finds in the undamaged source."""
    found, warnings = tmp_path / "found", {}
    found.mkdir()
    (found / "whole.jpg").write_bytes(made(tmp_path, with_exif(POINTED.block), sizes=["32"]).data)
    for name, (directory, tag, what, value, _) in CASES.items():
        number = placed(POINTED, directory, tag, what)
        block = damaged(POINTED.block, "<", number, value)
        result = made(tmp_path, with_exif(block), sizes=["32"])
        (found / f"{name}.jpg").write_bytes(result.data)
        warnings[name] = result.warnings
    told = exiftool_tags(found, "-EXIF:all", "-a", "-U")
    whole = told.pop("whole.jpg")
    assert {"IFD0", "ExifIFD", "InteropIFD", "GPS"} <= {key.partition(":")[0] for key in whole}
    for name, (*_, lost) in CASES.items():
        tags = told[f"{name}.jpg"]
        expected = {
            key: value for key, value in whole.items() if not lost & {key, key.partition(":")[0]}
        }
        assert tags | {"SourceFile": ""} == expected | {"SourceFile": ""}, name
        assert warnings[name] == (["metadata-dropped"] if lost else []), name


TOLERATED: Final = (
    "out of order",
    "Non-standard",
    "overlaps tag",
    "Missing required",
    "Wrong format",
)
"""What exiftool objects to in readable values: another tag, type or length than is usual."""


@pytest.mark.slow
@with_exiftool
def test_what_is_left_of_a_damaged_block_is_valid(tmp_path: Path) -> None:
    random = Random(16)
    # Half of what is damaged leaves the same as something else.
    left: dict[bytes, str] = {}
    for order, whole in RICH.items():
        some = values(whole, random)
        for number in whole.numbers * 3:
            value = next(some)
            exif = Exif.empty()
            try:
                exif = Exif(damaged(whole.block, order, number, value))
            except ValueError:
                assert (number.directory, number.what) == ("IFD0", "count")
            exif.remove_thumbnail()
            left.setdefault(exif.tobytes(), f"{order} {number} = {value}")
    for index, block in enumerate(left):
        (tmp_path / f"{index}.jpg").write_bytes(with_exif(block))
    told = exiftool_tags(tmp_path, "-validate", "-a", "-warning", "-error")
    assert len(told) == len(left)
    for index, damage in enumerate(left.values()):
        tags = told[f"{index}.jpg"]
        wrong = [one for one in serious(tags) if not any(words in one for words in TOLERATED)]
        assert wrong == [], damage


def test_directory_of_a_tiff_that_is_its_first_again_costs_itself(tmp_path: Path) -> None:
    circle = (0x8825, 4, struct.pack("<I", 24))
    data = small_tiff("<", [(0x013B, 2, pictures.text(pictures.ARTIST)), circle])
    result = made(tmp_path, data, ".tif", format="jpeg")
    assert result.warnings == ["metadata-dropped"]
    assert pictures.opened(result.data).getexif()[0x013B] == pictures.ARTIST


def test_hostile_blocks_take_no_time() -> None:
    """Thousands of pointers to directories of thousands of entries, none of which is read twice."""
    count = 60_000
    pointer = struct.pack("<HHII", 0x8769, 4, 1, 8)
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", count) + pointer * count + bytes(4)
    with pytest.raises(ValueError, match="5,000 tags"):
        Exif(block)
    few = 4_000
    entries = [struct.pack("<HHII", 0x8769, 4, 1, 8 + 12 * number) for number in range(few)]
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", few) + b"".join(entries) + bytes(4)
    with pytest.raises(ValueError, match="none of its tags"):
        Exif(block)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (1, "1 EXIF tag that cannot be read was dropped"),
        (3, "3 EXIF tags that cannot be read were dropped"),
    ],
)
def test_tags_that_are_lost_are_told_in_good_words(lost: int, message: str) -> None:
    assert [one.message for one in embedded.unreadable(lost)] == [message]


def test_counts_of_entries_are_bounded_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of many pointers may lead to what looks like 65,535 entries."""
    made = 0
    make = exif_structure.Entry._make

    def counted(fields: Iterable[int]) -> exif_structure.Entry:
        nonlocal made
        made += 1
        return make(fields)

    monkeypatch.setattr(exif_structure.Entry, "_make", counted)
    pointers = [0x8769, 0x8825, 0xA005, 0x014A] * 10
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, 2000) for tag in pointers)
    head = b"II*\0" + struct.pack("<IH", 8, len(pointers)) + rows + bytes(4)
    # Entries of a known type, whose values are inside the block.
    entries = b"\xff\xff" + struct.pack("<HHII", 0x9000, 7, 4, 0) * 65_535
    block = head.ljust(2000, b"\0") + entries

    exif = None
    with contextlib.suppress(ValueError):
        exif = Exif(block + bytes(4))

    assert exif is None or exif.lost
    assert made <= 2 * len(pointers) + 2 * 32 * 5_001
