"""Chunks, made by Pillow, are found where they are."""

from __future__ import annotations

import zlib
from io import BytesIO

from PIL.PngImagePlugin import PngInfo
from toolkit.pictures import opened, saved, scene

from imgbatch.imaging.containers import png


def with_texts() -> bytes:
    info = PngInfo()
    info.add_text("first", "1")
    info.add_text("second", "2", zip=True)
    return saved(scene(), "PNG", pnginfo=info)


def test_chunks_are_whole_and_in_order() -> None:
    data = with_texts()

    found = list(png.chunks(data))

    assert [kind for kind, _ in found] == [b"IHDR", b"tEXt", b"zTXt", b"IDAT", b"IEND"]
    assert found[1][1] == b"first\0001"
    assert png.SIGNATURE + b"".join(png.chunk(*one) for one in found) == data
    assert zlib.decompress(b"".join(body for kind, body in found if kind == b"IDAT"))


def test_chunk_that_is_cut_short_is_no_whole_one() -> None:
    data = with_texts()
    at = next(one for one in png.walk(BytesIO(data)) if one.kind == b"IDAT")
    short = data[: at.start + 10]

    assert (
        next(body for kind, body in png.chunks(short) if kind == b"IDAT") == data[at.start :][:10]
    )
    assert b"IDAT" not in dict(png.whole_chunks(short))
    assert b"IDAT" in dict(png.whole_chunks(data[: at.stop]))
    assert b"IDAT" not in dict(png.whole_chunks(data[: at.stop - 1]))


def test_only_chunks_before_the_pixels() -> None:
    data = with_texts()
    behind = data[:-12] + png.chunk(b"tEXt", b"late\0!") + data[-12:]

    assert [one.kind for one in png.before_pixels(BytesIO(behind))] == [b"IHDR", b"tEXt", b"zTXt"]
    # And not for ever.
    many = data[:33] + png.chunk(b"teSt", b"") * 2_000 + data[33:]
    assert len(list(png.before_pixels(BytesIO(many)))) == 1_000


def test_chunks_are_left_out() -> None:
    data = with_texts()
    texts = {one.at for one in png.walk(BytesIO(data)) if one.kind == b"tEXt"}

    image = opened(png.without(BytesIO(data), texts).getvalue())

    assert image.info == {"second": "2"}
    assert png.without(BytesIO(data), set()).getvalue() == data
