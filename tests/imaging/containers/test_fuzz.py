"""Walkers of containers survive any bytes, and what they read they can write."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolkit.specimens import specimens
from toolkit.walking import READERS, inputs, problems

from imgbatch.imaging.containers import gif, isobmff, jpeg, photoshop, png, riff, tiff

PUBLIC = {
    f"{module.__name__.rpartition('.')[2]}.{name}"
    for module in (gif, isobmff, jpeg, photoshop, png, riff, tiff)
    for name, thing in vars(module).items()
    if callable(thing) and name[0].islower() and thing.__module__ == module.__name__
}
WRITERS = {
    *(
        "gif.write",
        "isobmff.uuid_box",
        "isobmff.with_code_points",
        "isobmff.with_plays",
        "jpeg.guid",
        "jpeg.xmp_segments",
    ),
    *(
        "jpeg.photoshop_segments",
        "photoshop.resource",
        "png.chunk",
        "riff.declared_end",
        "riff.shortened",
    ),
    *("tiff.block", "tiff.joined"),
}


def test_every_reader_is_tried() -> None:
    tried = {name.replace("isobmff.cut_short", "isobmff.walk") for name in READERS}

    assert tried | WRITERS == PUBLIC


@pytest.mark.slow
def test_damaged_files_are_read_or_raise_value_error() -> None:
    found = [
        f"{words}: {problem}"
        for data, words in islice(inputs(specimens(), Random(7)), 2_000)
        for problem in problems(data)
    ]

    assert found == []


@pytest.mark.slow
@given(
    start=st.sampled_from(
        [
            b"",
            b"\xff\xd8",
            png.SIGNATURE,
            b"\0\0\0\x0cjP  ",
            b"II*\0",
            b"MM\0*",
            b"II+\0",
            b"GIF89a",
        ]
    ),
    rest=st.binary(max_size=400),
)
def test_any_bytes_are_read_or_raise_value_error(start: bytes, rest: bytes) -> None:
    assert problems(start + rest) == []
