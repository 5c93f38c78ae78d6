"""TIFF directories are carried without interpreting their values."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Final

import pytest
from toolkit import pictures
from toolkit.pictures import Order

from imgbatch.imaging.containers import tiff
from imgbatch.imaging.containers.tiff import Directory, Field

both_orders: Final = pytest.mark.parametrize("order", ["<", ">"])


@both_orders
def test_block_survives_reading_and_writing(order: Order) -> None:
    whole = pictures.exif_block(order, thumbnail=b"").block
    found = tiff.read(BytesIO(whole))
    again = tiff.read(BytesIO(tiff.block(found)))
    assert again == found
    assert found.below[0x8769].below[0xA005].fields[0] == Field(1, 2, b"R98\0")
    assert found.lost == 0


@both_orders
def test_other_byte_order_swaps_numbers_and_keeps_bytes(order: Order) -> None:
    other: Order = ">" if order == "<" else "<"
    # Its note points to itself, so its bytes differ with its offset.
    here = pictures.exif_block(order, maker_note=False, thumbnail=b"").block
    there = pictures.exif_block(other, maker_note=False, thumbnail=b"").block
    turned = tiff.read(BytesIO(here)).in_order(other)
    assert turned == tiff.read(BytesIO(there))


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (1, b"abcd", b"abcd"),
        (3, b"abcd", b"badc"),
        (4, b"abcd", b"dcba"),
        (5, b"abcdefgh", b"dcbahgfe"),
        (7, b"abcd", b"abcd"),
        (12, b"abcdefgh", b"hgfedcba"),
    ],
)
def test_each_number_is_swapped_separately(kind: int, data: bytes, expected: bytes) -> None:
    assert Field(0x013B, kind, data).turned() == Field(0x013B, kind, expected)


@both_orders
def test_values_apart_have_room_of_their_own_and_are_not_lost(order: Order) -> None:
    fields: list[pictures.Field] = [
        (0x010E, 2, bytes(60)),
        (0x83BB, 7, bytes(60)),
        (0x8649, 7, bytes(60)),
        (0x9C9B, 1, bytes(60)),
    ]
    data = pictures.tiff_header(order) + pictures.directory(order, fields, 8)
    apart = {0x83BB, 0x8649}
    found = tiff.read(BytesIO(data), most_bytes=100, apart=apart)
    assert ([one.tag for one in found.fields], found.lost) == ([0x010E, 0x83BB], 1)
    found = tiff.read(BytesIO(data), most_bytes=120, apart=apart)
    assert ([one.tag for one in found.fields], found.lost) == ([0x010E, 0x83BB, 0x8649, 0x9C9B], 0)
    found = tiff.read(BytesIO(data), most_bytes=120)
    assert ([one.tag for one in found.fields], found.lost) == ([0x010E, 0x83BB], 2)


@both_orders
def test_file_is_extended_at_its_end(order: Order) -> None:
    old: list[pictures.Field] = [
        (0x0100, 3, struct.pack(order + "H", 7)),
        (0x0131, 2, pictures.text("Testa Develop")),
    ]
    before = pictures.tiff_header(order) + pictures.directory(order, old, 8, link=1234)
    added = Directory("<", [Field(0x011A, 5, struct.pack("<II", 300, 1))])
    after = tiff.extended(before, added, without=[0x0100])
    assert after[8 : len(before)] == before[8:]
    (first,) = struct.unpack_from(order + "I", after, 4)
    (count,) = struct.unpack_from(order + "H", after, first)
    # The text's entry and offset have not changed, and the next page is the same.
    entry = before[8 + 2 + 12 : 8 + 2 + 24]
    assert after[first + 2 + 12 : first + 2 + 24] == entry
    assert struct.unpack_from(order + "I", after, first + 2 + 12 * count) == (1234,)
    found = tiff.read(BytesIO(after))
    assert found.fields == [
        Field(0x011A, 5, struct.pack(order + "II", 300, 1)),
        Field(0x0131, 2, b"Testa Develop\0"),
    ]


def test_first_of_duplicate_tags_counts() -> None:
    cell = struct.pack("<HHI", 0x0100, 4, 1)
    data = pictures.tiff_header("<") + struct.pack("<H", 2)
    data += cell + struct.pack("<I", 11) + cell + struct.pack("<I", 22) + bytes(4)
    found = tiff.read(BytesIO(tiff.extended(data, Directory("<"))))
    assert found.fields == [Field(0x0100, 4, struct.pack("<I", 11))]


@pytest.mark.parametrize("page", [0, 1, 2])
def test_each_page_has_its_own_directory(page: int) -> None:
    data = pictures.tiff_header("<")
    for number in range(3):
        at = len(data)
        fields: list[pictures.Field] = [(0x0131, 2, pictures.text(f"page number {number}"))]
        length = len(pictures.directory("<", fields, at))
        data += pictures.directory("<", fields, at, link=at + length if number < 2 else 0)
    file = BytesIO(data)
    found = tiff.read(file, tiff.places(file, 9)[page])
    assert found.fields == [Field(0x0131, 2, f"page number {page}\0".encode())]


@pytest.mark.parametrize(
    ("cell", "lost"),
    [
        pytest.param(struct.pack("<HHII", 0x0131, 2, 99, 8), 1, id="behind the end"),
        pytest.param(struct.pack("<HHII", 0x0131, 99, 1, 8), 1, id="an unknown type"),
        pytest.param(struct.pack("<HHII", 0x0131, 7, 2**32 - 1, 8), 1, id="far too long"),
        pytest.param(struct.pack("<HHII", 0x8825, 4, 1, 9999), 1, id="no directory there"),
        pytest.param(struct.pack("<HHII", 0xA005, 4, 1, 9999), 0, id="which is no loss"),
    ],
)
def test_unreadable_entries_are_counted_and_the_rest_is_kept(cell: bytes, lost: int) -> None:
    good = struct.pack("<HHII", 0x0100, 4, 1, 7)
    data = pictures.tiff_header("<") + struct.pack("<H", 2) + good + cell + bytes(4)
    found = tiff.read(BytesIO(data))
    assert found.fields == [Field(0x0100, 4, struct.pack("<I", 7))]
    assert (found.below, found.lost) == ({}, lost)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"PK\3\4" + bytes(40), id="no TIFF"),
        pytest.param(pictures.tiff_header("<"), id="cut short"),
    ],
)
def test_data_without_a_directory_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|short"):
        tiff.read(BytesIO(data))


def test_directory_in_a_circle_is_lost() -> None:
    circle = pictures.tiff_header("<") + struct.pack("<HHHIII", 1, 0x8769, 4, 1, 8, 0)
    found = tiff.read(BytesIO(circle))
    assert (found.fields, found.below, found.lost) == ([], {}, 1)
