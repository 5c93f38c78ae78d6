"""EXIF blocks are edited in place: what is kept is kept bit for bit, what is removed is gone."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit import pictures
from toolkit.exif_blocks import EDITS, both_orders, entry_of, long, tiny, value_of
from toolkit.pictures import Order, directory

from imgbatch.imaging.metadata.exif import DATE_TIME_ORIGINAL, MODEL, Exif

each_edit: Final = pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)


def changed(before: bytes, after: bytes) -> list[int]:
    """The offsets at which two blocks of one length differ."""
    assert len(before) == len(after)
    return [at for at, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]


# What is set


@both_orders
def test_setting_a_text_moves_only_the_first_directory(order: Order) -> None:
    block = pictures.exif_block(order)
    exif = Exif(block.block)
    exif.set_text(0x013B, "Zoë Licht, a name that is longer than the old one")
    after = exif.tobytes()
    (first,) = struct.unpack_from(order + "I", after, 4)
    assert first >= len(block.block)
    at = entry_of(after, order, first, 0x013B)
    assert at is not None
    kind, count, place = struct.unpack_from(order + "HII", after, at + 2)
    value = "Zoë Licht, a name that is longer than the old one".encode() + b"\0"
    assert (kind, after[place : place + count]) == (2, value)
    # The old text and the old directory are zeros now, and everything else is unchanged.
    (entries,) = struct.unpack_from(order + "H", block.block, 8)
    table = set(range(8, 8 + 2 + 12 * entries + 4))
    text_at = block.block.index(pictures.text(pictures.ARTIST))
    old = set(range(text_at, text_at + len(pictures.ARTIST) + 1))
    differing = set(changed(block.block, after[: len(block.block)])) - {4, 5, 6, 7}
    assert differing <= table | old
    assert not any(after[place] for place in table | old)
    tags = [struct.unpack_from(order + "H", after, first + 2 + 12 * i)[0] for i in range(entries)]
    assert tags == sorted(tags)
    assert Exif(after).text(MODEL) == pictures.MODEL
    assert value_of(after, order, first, 0x8769) == value_of(block.block, order, 8, 0x8769)


@both_orders
def test_missing_text_is_added(order: Order) -> None:
    exif = Exif(tiny(order, (8, [(0x0110, 2, pictures.text(pictures.MODEL))], 0)))
    exif.set_text(0x8298, "mine")
    exif.set_text(0x8298, "yours\0")
    after = Exif(exif.tobytes())
    assert (after.text(0x8298), after.text(MODEL)) == ("yours", pictures.MODEL)
    assert b"mine" not in exif.tobytes()


def test_empty_block_can_be_filled() -> None:
    exif = Exif.empty()
    exif.set_resolution((240.5, 120))
    exif.set_text(0x013B, "Ada")
    after = Exif(exif.tobytes())
    assert (after.resolution, after.text(0x013B)) == ((240.5, 120), "Ada")


def test_thumbnail_link_is_kept_when_a_text_is_set() -> None:
    block = pictures.exif_block(thumbnail=b"t" * 40)
    exif = Exif(block.block)
    exif.set_text(0x013B, "Ada")
    assert b"t" * 40 in exif.tobytes()
    exif.remove_thumbnail()
    assert b"t" * 40 not in exif.tobytes()


@both_orders
@pytest.mark.parametrize(
    ("unit", "expected"), [(2, (300, 300)), (3, (762, 762)), (None, (300, 300))]
)
def test_resolution_is_read_in_inches(
    order: Order, unit: int | None, expected: tuple[float, float]
) -> None:
    fields: list[pictures.Field] = [
        (0x011A, 5, struct.pack(order + "II", 600, 2)),
        (0x011B, 5, struct.pack(order + "II", 300, 1)),
    ]
    if unit is not None:
        fields.append((0x0128, 3, struct.pack(order + "H", unit)))
    assert Exif(tiny(order, (8, fields, 0))).resolution == pytest.approx(expected)


@pytest.mark.parametrize(
    "field",
    [
        pytest.param((0x011A, 5, struct.pack("<II", 300, 0)), id="divided by zero"),
        pytest.param((0x011A, 2, b"\0"), id="an empty text"),
        pytest.param((0x011A, 5, b""), id="no value"),
    ],
)
def test_invalid_resolution_is_ignored(field: pictures.Field) -> None:
    exif = Exif(tiny("<", (8, [field], 0)))
    assert exif.resolution is None
    exif.set_resolution((96, 72))
    assert exif.resolution == (96, 72)


@pytest.mark.parametrize(
    ("tag", "kind", "data", "stays"),
    [
        (0x011A, 5, struct.pack("<II", 300, 1), True),
        (0x011A, 3, struct.pack("<H", 300), True),
        (0x011A, 2, b"300\0", False),
        (0x011B, 5, struct.pack("<4I", 300, 1, 300, 1), False),
        (0x0128, 3, struct.pack("<H", 2), True),
        (0x0128, 3, struct.pack("<HH", 2, 2), False),
        (0x0128, 5, struct.pack("<II", 2, 1), False),
    ],
)
def test_resolution_that_is_not_a_number_is_removed(
    tag: int, kind: int, data: bytes, stays: bool
) -> None:
    exif = Exif(tiny("<", (8, [(tag, kind, data), (0x0110, 2, b"Testa 7\0")], 0)))
    exif.remove_broken_resolution()
    assert (entry_of(exif.tobytes(), "<", 8, tag) is not None) == stays
    assert exif.text(MODEL) == "Testa 7"


@both_orders
def test_resolution_is_set_in_place(order: Order) -> None:
    block = pictures.exif_block(order).block
    exif = Exif(block)
    exif.set_resolution((96, 72))
    assert len(changed(block, exif.tobytes())) <= 4
    assert Exif(exif.tobytes()).resolution == (96, 72)


def test_rounding_does_not_change_the_resolution() -> None:
    exif = Exif(pictures.exif_block().block)
    before = exif.tobytes()
    exif.set_resolution((299.9994, 299.9994))
    assert exif.tobytes() == before
    assert not exif.has_resolution((298, 298))


def test_geotiff_tags_are_removed_with_the_position() -> None:
    """GeoTIFF tells the location of a picture on the earth."""
    corner = struct.pack("<6d", 0, 0, 0, 2.294468, 48.858239, 0)
    exif = Exif(tiny("<", (8, [(0x8482, 7, corner), (0x0110, 2, b"Testa 7\0")], 0)))
    exif.remove_gps()
    assert corner[24:40] not in exif.tobytes()
    assert exif.text(MODEL) == "Testa 7"


@both_orders
def test_block_of_selected_tags_holds_nothing_else(order: Order) -> None:
    block = Exif(pictures.exif_block(order).block).only([0x013B])
    assert block is not None
    assert block.tobytes() == tiny(order, (8, [(0x013B, 2, pictures.text(pictures.ARTIST))], 0))
    assert Exif(pictures.exif_block(order, rights=False).block).only([0x013B]) is None


@both_orders
def test_block_without_maker_notes_keeps_everything_else(order: Order) -> None:
    block = pictures.exif_block(order)
    exif = Exif(block.block).without_maker_notes()
    shorter = exif.tobytes()
    assert b"TESTA\0" not in shorter
    assert len(exif) == len(shorter) < len(block.block) - len(block.maker_note)
    assert exif.text(DATE_TIME_ORIGINAL) == pictures.TAKEN
    assert len(pictures.traces_of_position(shorter)) == 2
    assert exif.text(0x013B) == pictures.ARTIST


# Orientation


@both_orders
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_read(order: Order, orientation: int) -> None:
    assert (
        Exif(pictures.exif_block(order, orientation=orientation).block).orientation == orientation
    )


@both_orders
def test_orientation_is_read_after_the_exif_prefix(order: Order) -> None:
    assert Exif(b"Exif\0\0" + pictures.exif_block(order, orientation=3).block).orientation == 3


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        pytest.param(3, struct.pack("<H", 0), id="zero"),
        pytest.param(3, struct.pack("<H", 9), id="nine"),
        pytest.param(3, struct.pack("<HH", 6, 6), id="two values"),
        pytest.param(3, b"", id="no value"),
        pytest.param(2, b"6\0", id="text"),
        pytest.param(5, struct.pack("<II", 6, 1), id="a fraction"),
    ],
)
def test_invalid_orientation_is_ignored(kind: int, data: bytes) -> None:
    block = tiny("<", (8, [(0x0112, kind, data)], 0))
    assert Exif(block).orientation is None


@both_orders
@pytest.mark.parametrize("count", [0, 2])
def test_orientation_of_several_values_is_removed(order: Order, count: int) -> None:
    # Some readers use the first one.
    fields: list[pictures.Field] = [
        (0x0112, 3, struct.pack(order + "H", 6) * count),
        (0x011A, 4, long(order, 72)),
    ]
    exif = Exif(tiny(order, (8, fields, 0)))

    exif.set_upright()

    assert entry_of(exif.tobytes(), order, 8, 0x0112) is None
    assert value_of(exif.tobytes(), order, 8, 0x011A) == 72


def test_block_without_orientation_has_none() -> None:
    exif = Exif(pictures.exif_block(orientation=None).block)
    before = exif.tobytes()
    assert exif.orientation is None
    exif.set_upright()
    exif.remove_orientation()
    assert exif.tobytes() == before


def test_orientation_stored_as_long_is_read_and_reset() -> None:
    exif = Exif(tiny(">", (8, [(0x0112, 4, long(">", 8))], 0)))
    assert exif.orientation == 8
    exif.set_upright()
    assert exif.orientation == 1
    assert value_of(exif.tobytes(), ">", 8, 0x0112) == 1


@both_orders
@pytest.mark.parametrize("orientation", range(2, 9))
def test_resetting_orientation_changes_only_that_byte(order: Order, orientation: int) -> None:
    before = pictures.exif_block(order, orientation=orientation).block
    exif = Exif(before)
    exif.set_upright()
    after = exif.tobytes()
    entry = entry_of(before, order, 8, 0x0112)
    assert entry is not None
    assert changed(before, after) == [entry + 8 + (order == ">")]
    assert value_of(after, order, 8, 0x0112) == 1


@both_orders
def test_removing_orientation_moves_nothing_outside_its_directory(order: Order) -> None:
    made = pictures.exif_block(order)
    exif = Exif(made.block)
    exif.remove_orientation()
    after = exif.tobytes()
    assert entry_of(after, order, 8, 0x0112) is None
    (count,) = struct.unpack_from(order + "H", made.block, 8)
    assert struct.unpack_from(order + "H", after, 8) == (count - 1,)
    end = 8 + 2 + 12 * count + 4
    assert after[end:] == made.block[end:]
    # The other entries and the link to the thumbnail's directory are all still there.
    entries = {made.block[at : at + 12] for at in range(10, end - 4, 12)}
    left = {after[at : at + 12] for at in range(10, end - 16, 12)}
    assert {struct.unpack(order + "H", one[:2])[0] for one in entries - left} == {0x0112}
    assert after[end - 16 : end - 12] == made.block[end - 4 : end]


# Size


@both_orders
def test_pixel_size_is_updated_in_both_directories(order: Order) -> None:
    made = pictures.exif_block(order, size=(96, 64))
    exif = Exif(made.block)
    exif.set_size(48, 32)
    after = exif.tobytes()
    below = value_of(after, order, 8, 0x8769)
    assert (value_of(after, order, 8, 0x0100), value_of(after, order, 8, 0x0101)) == (48, 32)
    assert (value_of(after, order, below, 0xA002), value_of(after, order, below, 0xA003)) == (
        48,
        32,
    )
    assert len(changed(made.block, after)) == 4


@both_orders
def test_size_that_needs_four_bytes_gets_them(order: Order) -> None:
    exif = Exif(pictures.exif_block(order).block)
    exif.set_size(70_000, 65_536)
    after = exif.tobytes()
    below = value_of(after, order, 8, 0x8769)
    assert value_of(after, order, below, 0xA002) == 70_000
    assert value_of(after, order, below, 0xA003) == 65_536


def test_size_is_not_added_if_the_block_has_none() -> None:
    block = tiny("<", (8, [(0x0110, 2, b"Testa 7\0")], 0))
    exif = Exif(block)
    exif.set_size(10, 10)
    assert exif.tobytes() == block


# Text


@both_orders
def test_text_is_read_from_both_directories(order: Order) -> None:
    exif = Exif(pictures.exif_block(order).block)
    assert exif.text(MODEL) == pictures.MODEL
    assert exif.text(DATE_TIME_ORIGINAL) == pictures.TAKEN
    assert exif.text(0x010E) is None


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        (b"abc", "abc"),
        (b"a\0", "a"),
        (b"name\0behind", "name"),
        (b"  spaces  \0", "spaces"),
        (b"\0\0\0\0\0\0", None),
        (b"    \0\0", None),
        ("Gerät\0".encode(), "Gerät"),
        (b"Ger\xe4t\0", "Ger\ufffdt"),
    ],
)
def test_text_ends_at_the_first_nul(raw: bytes, meant: str | None) -> None:
    assert Exif(tiny("<", (8, [(0x0110, 2, raw)], 0))).text(MODEL) == meant


# Broken blocks


@pytest.mark.parametrize(
    "block",
    [b"", b"II", b"II*\0", b"Exif\0\0", b"II*\0\x08\0\0", b"MM*\0\0\0\0\x08", b"XX*\0\x08\0\0\0"],
)
def test_block_without_a_tiff_header_is_refused(block: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Exif(block)


@both_orders
def test_directory_loops_are_cut(order: Order) -> None:
    model = (0x0110, 2, pictures.text(pictures.MODEL))
    date = (0x9003, 2, pictures.text(pictures.TAKEN))
    to_itself = tiny(order, (8, [model, (0x8769, 4, long(order, 8))], 0))
    to_each_other = tiny(
        order,
        (8, [model, (0x8769, 4, long(order, 80))], 0),
        (80, [date, (0xA005, 4, long(order, 140))], 0),
        (140, [(0x1000, 4, long(order, 9)), (0x8825, 4, long(order, 80))], 0),
    )
    for block, text in ((to_itself, None), (to_each_other, pictures.TAKEN)):
        exif = Exif(block)
        assert exif.lost == 1
        assert (exif.text(0x0110), exif.text(0x9003)) == (pictures.MODEL, text)


def test_deep_chain_of_directories_is_cut() -> None:
    deep = tiny(
        "<", *((8 + 18 * i, [(0x8769, 4, long("<", 26 + 18 * i))], 0) for i in range(3_000))
    )
    assert Exif(deep + bytes(32)).lost == 1


def test_many_pointers_to_the_same_directories_do_not_multiply() -> None:
    """Followed along every path, these would be 500 ** 6 directories."""

    def pointers(to: int) -> list[pictures.Field]:
        return [(0x8769, 4, long("<", to))] * 500

    step = 2 + 500 * 12 + 4
    levels = [(8 + step * i, pointers(8 + step * (i + 1)), 0) for i in range(6)]
    block = tiny("<", *levels) + pictures.directory("<", [(0x9003, 2, b"x\0")], 0)
    # The first pointer is followed; those beside it lead to the same place.
    assert Exif(block).lost >= 499


@both_orders
def test_value_past_the_end_is_removed(order: Order) -> None:
    entry = struct.pack(order + "HHII", 0x0110, 2, 100, 38)
    other = struct.pack(order + "HHI4s", 0x0131, 2, 4, b"kept")
    block = pictures.tiff_header(order) + struct.pack(order + "H", 2) + entry + other + bytes(4)
    exif = Exif(block)
    assert (exif.lost, exif.text(0x0110), exif.text(0x0131)) == (1, None, "kept")
    with pytest.raises(ValueError, match="none of its tags can be read"):
        Exif(block.replace(other, entry))


@both_orders
def test_overlapping_directory_is_removed(order: Order) -> None:
    first = [(0x0001, 3, struct.pack(order + "H", 0)), (0x8769, 4, long(order, 10))]
    exif = Exif(tiny(order, (8, first, 0)) + bytes(100))
    assert exif.lost == 1
    assert value_of(exif.tobytes(), order, 8, 0x0001) == 0


@both_orders
def test_directory_right_after_one_without_a_link_survives_edits_to_it(
    order: Order,
) -> None:
    first = [(0x8769, 4, long(order, 60)), (0x8825, 4, long(order, 100))]
    below = [(0x927C, 7, b"abcd"), (0xA002, 4, long(order, 7)), (0xA005, 4, long(order, 98))]
    block = tiny(order, (8, first, 0), (60, below, 0))[:98]
    block += pictures.directory(order, [(0x0001, 2, pictures.text("R98"))], 98)
    exif = Exif(block.replace(long(order, 100), long(order, 140)) + bytes(40))
    exif.remove_gps()
    exif.set_size(9, 9)
    after = exif.tobytes()
    assert value_of(after, order, 60, 0xA002) == 9
    assert after[98:110] == block[98:110]


@both_orders
def test_missing_last_link_is_tolerated(order: Order) -> None:
    whole = tiny(order, (8, [(0x0112, 3, struct.pack(order + "H", 6))], 0))
    exif = Exif(whole[:-4])
    assert exif.orientation == 6
    exif.set_upright()
    exif.remove_thumbnail()
    exif.remove_orientation()
    assert exif.orientation is None


@pytest.mark.slow
@both_orders
@each_edit
def test_truncated_block_raises_value_error_or_works(
    order: Order, edit: Callable[[Exif], None]
) -> None:
    """Whatever is left after an edit can also be read again."""
    whole = compact(order)
    refused = 0
    for length in range(len(whole)):
        refused += not survives(whole[:length], [edit])
    # A header, and a directory that ends before the first of its entries.
    assert refused == 8 + 2 + 12


def compact(order: Order) -> bytes:
    """Each directory, pointer and kind of value that edits know, and little else.

    Its 300 bytes take a quarter of the time of a camera's block for every change or cut.
    """
    ends = [8] * 6
    while True:
        exif, interoperability, gps, second, thumbnail, _ = ends
        parts = [
            directory(order, fields, at, link)
            for at, fields, link in (
                (8, _first_fields(order, exif, gps), second),
                (exif, _exif_fields(order, interoperability), 0),
                (interoperability, [(0x0001, 2, b"R98\0")], 0),
                (gps, [(0x0001, 2, b"N\0"), (0x0002, 5, struct.pack(order + "6I", *range(6)))], 0),
                (second, [(0x0201, 4, long(order, thumbnail)), (0x0202, 4, long(order, 4))], 0),
            )
        ]
        parts.append(b"jpeg")
        before, ends = ends, list(accumulate(map(len, parts), initial=8))[1:]
        if ends == before:
            return pictures.tiff_header(order) + b"".join(parts)


def _first_fields(order: Order, exif: int, gps: int) -> list[pictures.Field]:
    ratio = struct.pack(order + "II", 300, 1)
    return [
        (0x0110, 2, b"T7\0"),
        (0x0112, 3, struct.pack(order + "H", 6)),
        (0x011A, 5, ratio),
        (0x011B, 5, ratio),
        (0x0128, 3, struct.pack(order + "H", 2)),
        (0x013B, 2, b"Ada L.\0"),
        (0x8769, 4, long(order, exif)),
        (0x8825, 4, long(order, gps)),
    ]


def _exif_fields(order: Order, interoperability: int) -> list[pictures.Field]:
    return [
        (0x927C, 7, b"TESTA\0"),
        (0xA001, 3, struct.pack(order + "H", 1)),
        (0xA002, 3, struct.pack(order + "H", 96)),
        (0xA003, 4, long(order, 64)),
        (0xA005, 4, long(order, interoperability)),
    ]


@both_orders
def test_every_edit_changes_the_compact_block(order: Order) -> None:
    """Otherwise changes to it would prove nothing."""
    whole = compact(order)
    for name, edit in EDITS.items():
        exif = Exif(whole)
        edit(exif)
        # Its resolution is a valid one.
        assert (exif.tobytes() != whole) == (name != "remove_broken_resolution"), name


@pytest.mark.slow
@both_orders
def test_block_with_any_byte_changed_raises_value_error_or_works(order: Order) -> None:
    whole = compact(order)
    refused = 0
    for at in range(len(whole)):
        for value in {0, 0xFF, whole[at] ^ 0x04} - {whole[at]}:
            block = whole[:at] + bytes([value]) + whole[at + 1 :]
            refused += not survives(block, EDITS.values())
    # Only where the header is damaged, or the first directory's number of entries.
    assert 0 < refused <= 30


@pytest.mark.slow
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(
    order=st.sampled_from(["<", ">"]),
    changes=st.lists(
        st.tuples(st.integers(0, 1_000), st.binary(min_size=1, max_size=4)), max_size=12
    ),
    cut=st.integers(0, 1_000),
    edits=st.lists(st.sampled_from(list(EDITS.values())), min_size=1, max_size=5),
)
def test_broken_block_raises_value_error_or_works(
    order: Order,
    changes: list[tuple[int, bytes]],
    cut: int,
    edits: list[Callable[[Exif], None]],
) -> None:
    block = bytearray(pictures.exif_block(order, thumbnail=b"t" * 40).block)
    for at, data in changes:
        at %= len(block)
        block[at : at + len(data)] = data
    survives(bytes(block[: len(block) - cut % 60]), edits)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]), st.binary(max_size=300))
def test_random_bytes_raise_value_error_or_work(header: bytes, rest: bytes) -> None:
    survives(header + rest, EDITS.values())


def survives(block: bytes, edits: Iterable[Callable[[Exif], None]]) -> bool:
    """Whether a block can be read; raises if it can, but cannot be edited or read again."""
    try:
        exif = Exif(block)
    except ValueError:
        return False
    most = len(block) + 8
    for edit in edits:
        edit(exif)
        if edit in (EDITS["set_text"], EDITS["set_resolution"]):
            # A new first directory after the old one.
            most = 2 * most + 100
    Exif(exif.tobytes()).text(MODEL)
    assert len(exif.tobytes()) <= most
    return True
