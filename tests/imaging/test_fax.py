"""Damaged fax data (CCITT T.4 and T.6) are told; tiffinfo (libtiff) says which are damaged."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image, ImageDraw
from toolkit import programs
from toolkit.decoding import decoded

from imgbatch.errors import PictureError
from imgbatch.imaging.codecs import fax

SIZE = (600, 420)
KINDS: Final[dict[str, dict[str, Any]]] = {
    "group 4": {"compression": "group4", "strip_size": 75 * 60},
    "group 4 in one strip": {"compression": "group4"},
    "group 3": {"compression": "group3", "strip_size": 75 * 60},
    "group 3 in one strip": {"compression": "group3"},
}
DAMAGES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "ones": lambda data: b"\xff" * len(data[:40]) + data[40:],
    "zeros to the end": lambda data: bytes(len(data)),
    "hole": lambda data: bytes(len(data[:200])) + data[200:],
}


@cache
def page() -> Image.Image:
    image = Image.new("1", SIZE, 1)
    draw, random = ImageDraw.Draw(image), Random(1)
    for row in range(35):
        words = " ".join(str(random.getrandbits(24)) for _ in range(11))
        draw.text((5 + row % 5, 3 + 12 * row), words, fill=0)
    return image


def file(**options: Any) -> bytes:
    buffer = BytesIO()
    page().save(buffer, "TIFF", **options)
    return buffer.getvalue()


def strips(data: bytes) -> list[tuple[int, int]]:
    tags: Any = Image.open(BytesIO(data)).tag_v2  # type: ignore[attr-defined]
    return list(zip(tags[0x0111], tags[0x0117], strict=True))


def told(folder: Path, data: bytes) -> bool:
    try:
        picture = decoded(folder, data, "fax.tif")
    except PictureError as error:
        return error.failure.kind == "truncated"
    assert [notice.kind for notice in picture.notices] in ([], ["truncated"])
    return bool(picture.notices)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", [*KINDS, "rows"])
def test_whole_fax_is_read_without_a_word(
    tmp_path: Path, kind: str, orientation: int, capfd: pytest.CaptureFixture[str]
) -> None:
    options = KINDS.get(kind, {"compression": "group4", "strip_size": 75})
    data = file(**options, tiffinfo={0x0112: orientation})
    picture = decoded(tmp_path, data, "fax.tif")
    assert picture.notices == ()
    upright = {1: 0, 3: 180, 6: 270, 8: 90}[orientation]
    expected = page().rotate(upright, expand=True)
    np.testing.assert_array_equal(np.asarray(picture.image) > 0, np.asarray(expected))
    assert capfd.readouterr() == ("", "")


def test_either_colour_may_be_white(tmp_path: Path) -> None:
    """And either bit the first: what libtiff's own programs also write."""
    data = bytearray(file(**KINDS["group 4"]))
    place = data.index(bytes((0x06, 0x01, 3, 0, 1, 0, 0, 0, 1, 0)))
    data[place + 8] = 0
    picture = decoded(tmp_path, bytes(data), "fax.tif")
    assert picture.notices == ()
    np.testing.assert_array_equal(np.asarray(picture.image) == 0, np.asarray(page()))


@pytest.mark.external("tiffinfo")
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_that_libtiff_finds_is_told(
    tmp_path: Path, kind: str, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, random = file(**KINDS[kind]), Random(damage + kind)
    found = silent = 0
    for _ in range(20):
        place, length = random.choice(strips(whole))
        at = random.randrange(place + length // 10, place + length * 8 // 10)
        rest = DAMAGES[damage](whole[at : place + length])
        data = whole[:at] + rest + whole[place + length :]
        ours = told(tmp_path, data)
        command = [programs.path_of("tiffinfo"), "-d", str(tmp_path / "fax.tif")]
        seen = subprocess.run(command, capture_output=True, check=False).stderr
        assert seen or not ours
        found += bool(seen) and ours
        silent += bool(seen) and not ours
    # Lines of group 3 that are wrong hurt no others, and are not always found.
    assert found >= (0.8 if "4" in kind or damage == "zeros to the end" else 0.2) * (found + silent)
    assert found > 0
    assert capfd.readouterr() == ("", "")


def test_damaged_fax_is_kept_with_salvage(tmp_path: Path) -> None:
    whole = file(**KINDS["group 4 in one strip"])
    ((place, length),) = strips(whole)
    middle = place + length // 2
    data = whole[:middle] + b"\xff" * 40 + whole[middle + 40 :]
    with pytest.raises(PictureError, match="fax data are damaged"):
        decoded(tmp_path, data, "fax.tif")
    picture = decoded(tmp_path, data, "fax.tif", salvage=True)
    assert [notice.kind for notice in picture.notices] == ["truncated"]
    half = SIZE[1] // 3
    found = np.asarray(picture.image)[:half] > 0
    np.testing.assert_array_equal(found, np.asarray(page())[:half])


def overstated(strips: int, count: int) -> bytes:
    """A BigTIFF of group 3 whose strips all begin at the same place, and claim `count` bytes."""
    buffer = BytesIO()
    Image.new("1", (64, 64), 1).save(buffer, "TIFF", compression="group3")
    data = buffer.getvalue()
    tags: Any = Image.open(buffer).tag_v2  # type: ignore[attr-defined]
    (place,), (length,) = tags[0x0111], tags[0x0117]
    strip = data[place : place + length] + bytes(1 << 21)
    tables = struct.pack(f"<{2 * strips}Q", *[16] * strips, *[count] * strips)
    first = 16 + len(strip) + len(tables)
    values = [16, count]
    if strips > 1:
        values = [first - len(tables), first - len(tables) // 2]
    entries = [
        *((256, 4, 1, 64), (257, 4, 1, 64 * strips), (258, 3, 1, 1), (259, 3, 1, 3)),
        *((262, 3, 1, tags[262]), (273, 16, strips, values[0]), (277, 3, 1, 1)),
        *((278, 4, 1, 64), (279, 16, strips, values[1])),
    ]
    directory = struct.pack("<Q", len(entries))
    directory += b"".join(struct.pack("<HHQQ", *entry) for entry in entries) + bytes(8)
    return struct.pack("<2sHHHQ", b"II", 43, 8, 0, first) + strip + tables + directory


@pytest.mark.parametrize(("strips", "count"), [(1, 1 << 60), (1000, 1 << 21)])
def test_strips_are_not_read_much_beyond_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strips: int, count: int
) -> None:
    """However many bytes they claim, which used to take for ever."""
    asked, read = [0], fax._read

    def counted(file: Any, strips: fax.Strips, offset: int, count: int, bits: int) -> bytes:
        asked[0] += count
        assert asked[0] <= 5 * len(data)
        return read(file, strips, offset, count, bits)

    data = overstated(strips, count)
    monkeypatch.setattr(fax, "_read", counted)
    picture = decoded(tmp_path, data, "fax.tif")
    assert picture.size == (64, 64 * strips)
    assert (np.asarray(picture.image)[:64] > 0).all()


@pytest.mark.parametrize("rows", [1, 3, 7, 8, 9, 100])
@pytest.mark.parametrize("crop", [(0, 0, 600, 5), (0, 0, 600, 420)])
def test_ends_of_strips_need_few_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, crop: tuple[int, int, int, int]
) -> None:
    """About as many as the picture has, and these are not limited like a picture's."""
    few = page().crop(crop)
    buffer = BytesIO()
    few.save(buffer, "TIFF", compression="group4", strip_size=75 * rows)
    made, new = [], Image.new

    def counted(mode: str, size: tuple[int, int], *color: Any) -> Image.Image:
        made.append(size[0] * size[1])
        return new(mode, size, *color)

    monkeypatch.setattr(fax, "_PIXELS", 30_000)
    monkeypatch.setattr(Image, "new", counted)
    pixels = few.width * few.height
    picture = decoded(tmp_path, buffer.getvalue(), "fax.tif", max_pixels=pixels)
    assert picture.notices == ()
    assert made
    assert max(made) <= min(pixels + rows * few.width, 30_000)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 7, 8, 9, 100, 420, 1000])
def test_last_rows_of_every_strip_are_compared(rows: int, inverted: bool) -> None:
    data = file(compression="group4", strip_size=75 * rows)
    places, counts = zip(*strips(data), strict=True)
    coded = fax.Strips(fax.GROUP_4, 1, rows, places, counts)
    stored = Image.fromarray(np.asarray(page()) ^ inverted)
    assert not fax.lost(stored, BytesIO(data), coded, inverted=inverted)
    for bottom in (min(SIZE[1], rows), SIZE[1]):
        other = stored.copy()
        place = (300, bottom - 1)
        other.putpixel(place, 0 if other.getpixel(place) else 255)
        assert fax.lost(other, BytesIO(data), coded, inverted=inverted)


def test_handler_of_libtiff_is_put_back() -> None:
    setter: Any = fax._error_setter()
    assert setter is not None
    before = setter(None)
    setter(before)
    with fax.heard():
        pass
    assert setter(before) == before


def test_handler_outlives_its_use() -> None:
    """Another thread, in libtiff, may be about to call it."""
    setter: Any = fax._error_setter()
    taken, places = [], set()
    for _ in range(4):
        with fax.heard() as told:
            places.add(place := setter(None))
            setter(place)
        # Else the next one might be where the last one was.
        taken.append(fax._Handler(lambda module, form, values: None))
    assert len(places) == 1
    say = fax._Handler(place)
    with ThreadPoolExecutor(1) as other:
        say(b"Fax4Decode", b"after", None)
        with fax.heard() as told_here:
            other.submit(say, b"Fax4Decode", b"elsewhere", None).result()
            say(b"Fax4Decode", b"here", None)
    assert (told, told_here) == ([], [b"here"])
