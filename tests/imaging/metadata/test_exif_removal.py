"""Thumbnails and positions are cut out of EXIF without moving anything else."""

from __future__ import annotations

import random
import struct

import pytest
from toolkit import pictures
from toolkit.exif_blocks import EDITS, both_orders, entry_of, long, tiny, value_of
from toolkit.pictures import Order

from imgbatch.imaging.metadata.exif import DATE_TIME_ORIGINAL, MODEL, Exif

# The thumbnail


@both_orders
def test_removing_the_thumbnail_keeps_everything_else(order: Order) -> None:
    made = pictures.exif_block(order, thumbnail=random.Random(2).randbytes(500))
    with_nothing_behind = pictures.exif_block(order, thumbnail=b"").block
    exif = Exif(made.block)
    exif.remove_thumbnail()
    after = exif.tobytes()
    assert not any(made.thumbnail[at : at + 8] in after for at in range(len(made.thumbnail) - 8))
    # Exactly the block of a camera that makes no thumbnails.
    assert after == with_nothing_behind


@both_orders
def test_thumbnail_in_the_middle_is_zeroed_without_moving_anything(order: Order) -> None:
    picture = random.Random(3).randbytes(200)
    fields = [(0x0201, 4, long(order, 100)), (0x0202, 4, long(order, len(picture)))]
    taken = pictures.text(pictures.TAKEN)
    block = bytearray(
        tiny(order, (8, [(0x8769, 4, long(order, 400))], 40), (40, fields, 0))
        + bytes(400 - 40 - len(pictures.directory(order, fields, 40)))
        + pictures.directory(order, [(0x9003, 2, taken)], 400)
    )
    block[100 : 100 + len(picture)] = picture
    exif = Exif(bytes(block))
    exif.remove_thumbnail()
    after = exif.tobytes()
    assert after[26:400] == bytes(374)
    assert after[400:] == block[400:]
    assert exif.text(DATE_TIME_ORIGINAL) == pictures.TAKEN


@both_orders
def test_uncompressed_thumbnail_is_removed_too(order: Order) -> None:
    picture = random.Random(4).randbytes(96)
    fields = [
        (0x0103, 3, struct.pack(order + "H", 1)),
        (0x0111, 4, long(order, 200) + long(order, 248)),
        (0x0117, 3, struct.pack(order + "HH", 48, 48)),
    ]
    block = tiny(order, (8, [(0x0110, 2, b"Testa 7\0")], 60), (60, fields, 0))
    block += bytes(200 - len(block)) + picture
    exif = Exif(block)
    exif.remove_thumbnail()
    after = exif.tobytes()
    assert not any(picture[at : at + 4] in after for at in range(len(picture) - 4))
    assert exif.text(MODEL) == "Testa 7"


@both_orders
def test_zeros_of_a_value_are_not_cut_off_with_the_thumbnail(order: Order) -> None:
    """An empty UserComment right before the thumbnail."""
    made = pictures.exif_block(order, gps=False, more=[(0xFFF0, 7, b"ASCII\0\0\0" + bytes(256))])
    exif = Exif(made.block)
    exif.remove_thumbnail()
    again = Exif(exif.tobytes())
    again.set_size(10, 20)
    assert again.text(DATE_TIME_ORIGINAL) == pictures.TAKEN


@both_orders
def test_zeroed_directory_at_the_end_is_not_cut_off_with_the_thumbnail(order: Order) -> None:
    below = [(0xA002, 4, long(order, 0)), (0xA003, 4, long(order, 0))]
    first = [(0x8769, 4, long(order, 200))]
    second = [(0x0201, 4, long(order, 100)), (0x0202, 4, long(order, 50))]
    block = tiny(order, (8, first, 60), (60, second, 0), (200, below, 0))
    exif = Exif(block)
    exif.remove_thumbnail()
    again = Exif(exif.tobytes())
    again.set_size(5, 6)
    assert value_of(again.tobytes(), order, 200, 0xA003) == 6


@pytest.mark.parametrize("second", [8, 4, 1, 10, 20, 700, 5_000, 0xFFFFFFFF])
@both_orders
def test_thumbnail_directory_at_a_wrong_offset_does_no_harm(order: Order, second: int) -> None:
    made = pictures.exif_block(order, thumbnail=b"")
    (count,) = struct.unpack_from(order + "H", made.block, 8)
    link = 10 + 12 * count
    block = made.block[:link] + long(order, second) + made.block[link + 4 :]
    exif = Exif(block)
    exif.remove_thumbnail()
    assert exif.tobytes() == made.block


def test_thumbnail_directory_in_the_header_does_not_loop_forever() -> None:
    """Read as a directory, the bytes from 4 on have eight entries and a link to byte 4 again."""
    block = tiny("<", (8, [(0x0110, 2, b"x\0")], 4))
    block += bytes(4 + 2 + 8 * 12 - len(block)) + long("<", 4) + bytes(20)
    exif = Exif(block)
    exif.remove_thumbnail()
    assert exif.text(MODEL) == "x"


@both_orders
def test_thumbnail_that_claims_other_values_does_no_harm(order: Order) -> None:
    made = pictures.exif_block(order)
    alone = pictures.exif_block(order, thumbnail=b"").block
    second = len(alone)
    for tag, value in ((0x0201, 8), (0x0202, second - 8)):
        entry = entry_of(made.block, order, second, tag)
        assert entry is not None
        block = made.block[: entry + 8] + long(order, value) + made.block[entry + 12 :]
        made = pictures.ExifBlock(block, made.maker_note, made.maker_note_at, made.thumbnail)
    exif = Exif(made.block)
    exif.remove_thumbnail()
    assert exif.tobytes()[: len(alone)] == alone


# The position


@both_orders
def test_removing_the_position_keeps_the_rest(order: Order) -> None:
    made = pictures.exif_block(order)
    exif = Exif(made.block)
    exif.remove_gps()
    after = exif.tobytes()
    assert pictures.traces_of_position(made.block) != []
    assert pictures.traces_of_position(after) == []
    assert entry_of(after, order, 8, 0x8825) is None
    (count,) = struct.unpack_from(order + "H", after, 8)
    assert struct.unpack_from(order + "I", after, 10 + 12 * count) == (0,)
    assert entry_of(after, order, value_of(after, order, 8, 0x8769), 0x927C) is None
    assert made.maker_note[10:] not in after
    assert (exif.text(MODEL), exif.text(DATE_TIME_ORIGINAL)) == (pictures.MODEL, pictures.TAKEN)
    assert exif.orientation == 6
    assert value_of(after, order, value_of(after, order, 8, 0x8769), 0xA002) == 96


@both_orders
def test_values_stay_in_place_when_the_position_is_removed(order: Order) -> None:
    made = pictures.exif_block(order, thumbnail=b"")
    exif = Exif(made.block)
    exif.remove_gps()
    after = exif.tobytes()
    for value in (pictures.MODEL, pictures.TAKEN, pictures.COPYRIGHT):
        assert after.index(value.encode()) == made.block.index(value.encode())


@both_orders
def test_position_that_an_editor_left_unlinked_is_removed(order: Order) -> None:
    made = pictures.exif_block(order)
    entry = entry_of(made.block, order, 8, 0x8825)
    assert entry is not None
    # The pointer becomes some other tag; the directory stays where it is.
    other = struct.pack(order + "H", 0x8826)
    exif = Exif(made.block[:entry] + other + made.block[entry + 2 :])
    exif.remove_gps()
    assert pictures.traces_of_position(exif.tobytes()) == []


@both_orders
def test_position_after_the_block_is_removed(order: Order) -> None:
    """Pillow returns a second EXIF segment right after the first one."""
    exif = Exif(pictures.exif_block(order, gps=False).block + pictures.exif_block(order).block)
    exif.remove_gps()
    assert pictures.traces_of_position(exif.tobytes()) == []


@both_orders
def test_position_that_another_value_claims_is_removed(order: Order) -> None:
    # The text's count is broken: it extends over the position's directory and its values.
    position = b"\x34\0\0\0\x01\0\0\0"
    fields: list[pictures.Field] = [(0x010E, 2, b"text" * 60), (0x8825, 4, long(order, 100))]
    block = bytearray(tiny(order, (8, fields, 0)))
    text = value_of(bytes(block), order, 8, 0x010E)
    assert text < 100
    gps = pictures.directory(order, [(0x0002, 5, position)], 100, 0)
    block[100 : 100 + len(gps)] = gps
    exif = Exif(bytes(block))

    exif.remove_gps()

    assert position not in exif.tobytes()
    assert long(order, 100) not in exif.tobytes()
    assert exif.lost == 1


@both_orders
def test_position_in_the_exif_directory_is_removed(order: Order) -> None:
    gps = [(0x0002, 5, struct.pack(order + "6I", 48, 1, 51, 1, 296_621, 10_000))]
    block = tiny(
        order,
        (8, [(0x8769, 4, long(order, 40))], 0),
        (40, [(0x8825, 4, long(order, 80)), (0x9003, 2, b"2024\0\0")], 0),
        (80, gps, 0),
    )
    exif = Exif(block)
    exif.remove_gps()
    assert pictures.traces_of_position(exif.tobytes()) == []
    assert exif.text(DATE_TIME_ORIGINAL) == "2024"


@both_orders
def test_xmp_packet_inside_the_block_is_removed_with_the_position(order: Order) -> None:
    packet = pictures.xmp_packet(gps="attributes")
    exif = Exif(tiny(order, (8, [(0x02BC, 1, packet), (0x0110, 2, b"Testa 7\0")], 0)))
    exif.remove_gps()
    assert pictures.traces_of_position(exif.tobytes()) == []
    assert exif.text(MODEL) == "Testa 7"


@both_orders
@pytest.mark.parametrize("name", ["set_upright", "set_size", "remove_thumbnail"])
def test_maker_notes_stay_bit_for_bit_in_place(order: Order, name: str) -> None:
    made = pictures.exif_block(order)
    exif = Exif(made.block)
    EDITS[name](exif)
    after = exif.tobytes()
    assert after[made.maker_note_at :].startswith(made.maker_note)
    (entry,) = [
        at
        for at in range(len(after) - 12)
        if struct.unpack_from(order + "HH", after, at) == (0x927C, 7)
    ]
    assert struct.unpack_from(order + "II", after, entry + 4) == (
        len(made.maker_note),
        made.maker_note_at,
    )
