"""IPTC records are carried unchanged; only what the policy names is edited."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolkit import pictures

from imgbatch.imaging.metadata import iptc

RECORDS: Final = pictures.iptc_records()


def data_sets(records: bytes | None) -> list[tuple[int, int, bytes]]:
    """The data sets of short records, found independently of the code: by their marker."""
    assert records is not None
    found = []
    while records:
        length = int.from_bytes(records[3:5], "big")
        assert records[0] == 0x1C
        found.append((records[1], records[2], records[5 : 5 + length]))
        records = records[5 + length :]
    return found


def test_parsing_and_packing_gives_the_same_bytes() -> None:
    assert iptc.packed(iptc.parsed(RECORDS)) == RECORDS


@given(
    st.lists(
        st.builds(
            iptc.DataSet, st.integers(1, 9), st.integers(0, 255), st.binary(min_size=1, max_size=40)
        )
    )
)
def test_whatever_is_packed_is_parsed(sets: list[iptc.DataSet]) -> None:
    assert iptc.parsed(iptc.packed(sets)) == sets


def test_value_of_more_than_32767_bytes_has_an_extended_length() -> None:
    value = bytes(range(256)) * 200
    packed = iptc.packed([iptc.DataSet(2, 120, value)])
    assert packed[:9] == b"\x1c\x02\x78\x80\x04" + len(value).to_bytes(4, "big")
    assert iptc.parsed(packed) == [iptc.DataSet(2, 120, value)]


@pytest.mark.parametrize("padding", [0, 1, 3])
def test_padding_after_the_records_is_dropped(padding: int) -> None:
    assert iptc.clean(RECORDS + b"\0" * padding) == RECORDS


def test_value_that_ends_in_zeros_is_kept_whole() -> None:
    records = pictures.data_set(2, 120, b"ab\0\0")
    assert data_sets(iptc.clean(records)) == [(2, 120, b"ab\0\0")]


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(b"nonsense", id="nonsense"),
        pytest.param(RECORDS[:-2], id="cut short"),
        pytest.param(RECORDS + b"\x1c\2", id="half a data set"),
        pytest.param(b"\x1c\2\x78\x84\0\0", id="a length without end"),
    ],
)
def test_broken_records_are_refused(records: bytes) -> None:
    for edit in (iptc.clean, iptc.without_position, iptc.rights_only):
        with pytest.raises(ValueError, match="IPTC"):
            edit(records)


def test_only_the_preview_is_removed() -> None:
    records = pictures.iptc_records((200, b"\0\1"), (201, b"\0\1"), (202, b"\xff\xd8secret"))
    assert iptc.clean(records) == RECORDS


def test_nothing_but_a_preview_becomes_nothing() -> None:
    assert iptc.clean(pictures.data_set(2, 202, b"\xff\xd8secret")) is None


def test_place_names_are_not_a_position() -> None:
    assert iptc.without_position(RECORDS) == (RECORDS, False)


@pytest.mark.parametrize(
    "caption",
    [b"GPS: 48 51 29", b"at 48.858239, 2.294468", b"1.2345", b"latitude fifty", b"LONGITUDE 2"],
)
def test_text_with_a_position_is_removed(caption: bytes) -> None:
    assert iptc.without_position(pictures.iptc_records((120, caption))) == (RECORDS, True)


@pytest.mark.parametrize("caption", [b"f/2.8 at 1/250, ISO 100", b"Nr. 2024.0512", b"1.234"])
def test_other_numbers_are_not_a_position(caption: bytes) -> None:
    records = pictures.iptc_records((120, caption))
    assert iptc.without_position(records) == (records, False)


def test_copyright_policy_keeps_creator_and_owner() -> None:
    more = ((85, b"Staff"), (115, b"Licht Archive"), (118, b"ada@example.org"), (105, b"Headline"))
    kept = data_sets(iptc.rights_only(pictures.iptc_records(*more)))
    assert {(record, number) for record, number, _ in kept} == {
        *((1, 90), (2, 0), (2, 80), (2, 85), (2, 110), (2, 115), (2, 116), (2, 118))
    }
    assert (2, 80, pictures.BY_LINE.encode()) in kept


def test_without_rights_nothing_is_left() -> None:
    assert iptc.rights_only(pictures.data_set(2, 120, b"a caption")) is None


def test_setting_rights_replaces_existing_ones() -> None:
    after = data_sets(iptc.with_rights(RECORDS, "Öl", None))
    assert [value for record, number, value in after if (record, number) == (2, 80)] == [
        "Öl".encode()
    ]
    assert (2, 116, pictures.IPTC_COPYRIGHT.encode()) in after
    assert after[0] == (1, 90, b"\x1b%G")
    assert len(after) == len(data_sets(RECORDS))


@pytest.mark.parametrize("city", ["Köln".encode("latin-1"), "Köln".encode()])
def test_records_without_a_character_set_get_one_that_suits_all(city: bytes) -> None:
    records = pictures.data_set(2, 0, b"\0\4") + pictures.data_set(2, 90, city)
    after = data_sets(iptc.with_rights(records, None, "© Ada"))
    assert after == [
        (1, 90, b"\x1b%G"),
        (2, 0, b"\0\4"),
        (2, 90, "Köln".encode()),
        (2, 116, "© Ada".encode()),
    ]


def test_ascii_rights_need_no_character_set() -> None:
    records = pictures.data_set(2, 90, "Köln".encode("latin-1"))
    after = data_sets(iptc.with_rights(records, "Ada", None))
    assert after == [(2, 90, "Köln".encode("latin-1")), (2, 80, b"Ada")]


# Photoshop's image resources


def test_records_are_found_among_other_resources() -> None:
    resources = (
        pictures.image_resource(0x03ED, bytes(16))
        + pictures.image_resource(0x040C, b"\xff\xd8thumbnail", b"odd")
        + pictures.image_resource(0x0404, RECORDS + b"\0", b"name")
        + pictures.image_resource(0x0425, bytes(16))
    )
    found = iptc.from_resources(resources)
    assert found is not None
    assert iptc.clean(found) == RECORDS


@pytest.mark.parametrize(
    "resources",
    [
        pytest.param(b"", id="none"),
        pytest.param(pictures.image_resource(0x0425, bytes(16)), id="others"),
        pytest.param(b"8BIM\x04\x04", id="cut short"),
        pytest.param(b"8BIM\x04\x04\xff\0\0\0\0\0\0", id="a name without end"),
    ],
)
def test_resources_without_records_give_none(resources: bytes) -> None:
    assert iptc.from_resources(resources) is None


@pytest.mark.parametrize("records", [RECORDS, RECORDS + pictures.data_set(2, 105, b"odd")])
def test_packed_resources_hold_only_the_records(records: bytes) -> None:
    resources = iptc.to_resources(records)
    assert resources == pictures.image_resource(0x0404, records)
    assert len(re.findall(b"8BIM", resources)) == 1
