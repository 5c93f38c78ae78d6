"""The native JPEG decoder: what it decodes looks as it should, and the rest is Pillow's."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from toolkit import jpeg_coding, pictures
from toolkit.cases import together
from toolkit.jpeg_coding import EOI, JFIF, Coded, coded, quantisation, segment, written
from toolkit.jpeg_scaled import by_native, by_pillow, opened
from tools import fuzz_jpeg_native

from imgbatch.cli.commands import group
from imgbatch.errors import PictureError
from imgbatch.imaging.codecs import jpeg_native, jpeg_pixels, native_api
from imgbatch.imaging.decode import decode

pytestmark = pytest.mark.external("cargo")

SCALES: Final = (2, 4, 8)
SAMPLINGS: Final = ((1, 1), (2, 1), (1, 2), (2, 2))
ODD: Final = ((1, 1), (7, 17), (75, 50))
"""Sizes that are no multiples of an MCU, nor of its parts."""


@pytest.fixture(autouse=True)
def library() -> Any:
    found = jpeg_native.library()
    assert found is not None, "cargo is here, so scripts/setup has built the library"
    return found


def photo(
    size: tuple[int, int] = (75, 50),
    luma: tuple[int, int] | None = (2, 2),
    quality: int = 85,
    interval: int = 0,
) -> Coded:
    """A photograph in colour with such a sampling, or a grey one."""
    scene = pictures.scene(max(size[0], 8), max(size[1], 8))[: size[1], : size[0]]
    steps = [quantisation(quality, chroma=one) for one in (False, True, True)]
    if luma is None:
        return coded(scene[:, :, 1], steps[:1], ((1, 1),), interval)
    return coded(scene, steps, (luma, (1, 1), (1, 1)), interval)


def away(found: np.ndarray[Any, Any] | None, expected: jpeg_coding.Floats) -> tuple[float, float]:
    """How far levels are from others, at most and on average."""
    assert found is not None
    difference = np.abs(found.reshape(expected.shape) - expected)
    return float(difference.max()), float(difference.mean())


# What it decodes


@pytest.mark.parametrize("luma", [None, *SAMPLINGS])
def test_pixels_are_those_of_the_reference(library: Any, luma: tuple[int, int] | None) -> None:
    """Grey within 0.6 levels, of which 0.5 are rounding.

    Colours come from three rounded samples (0.5, half of 1.772), and are rounded: 1.9.
    """
    most = 0.6 if luma is None else 2.0
    for size, quality, interval in product(ODD, (30, 92, 100), (0, 1, 3, 65_535)):
        what = photo(size, luma, quality, interval)
        data = written(what)
        for scale in SCALES:
            library.plain(False)
            found = by_native(data, scale)
            library.plain(True)
            plain = by_native(data, scale)
            library.plain(False)
            words = (size, quality, interval, scale)
            highest, mean = away(found, jpeg_coding.pixels(what, scale))
            assert highest < most, words
            assert mean < 0.8 or size == (1, 1), words
            np.testing.assert_array_equal(found, plain, str(words))


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"restart_marker_blocks": 5}])
def test_reads_what_pillow_writes(options: dict[str, Any]) -> None:
    for mode, sampling in (("L", 0), ("RGB", 0), ("RGB", 1), ("RGB", 2)):
        buffer = BytesIO()
        image = Image.fromarray(pictures.scene(150, 91)).convert(mode)
        image.save(buffer, "JPEG", subsampling=sampling, quality=97, **options)
        what = jpeg_coding.read(buffer.getvalue())
        for scale in SCALES:
            highest, _ = away(by_native(buffer.getvalue(), scale), jpeg_coding.pixels(what, scale))
            assert highest < 2, (mode, sampling, scale)


def test_last_coefficient_of_a_block_ends_it() -> None:
    """Blocks without a code for their end, of luma and of chroma."""
    noise = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)
    for luma in SAMPLINGS:
        what = coded(noise, [[1] * 64] * 3, (luma, (1, 1), (1, 1)))
        for one in what.components:
            one.blocks[:, :, 63] = 1
        for scale in SCALES:
            highest, _ = away(by_native(written(what), scale), jpeg_coding.pixels(what, scale))
            assert highest < 2, (luma, scale)


def test_extremes_of_contrast_are_clipped() -> None:
    board = np.indices((64, 64)).sum(0) // 8 % 2 * 255
    hard = np.repeat(board.astype(np.uint8)[:, :, None], 3, 2)
    hard[:, :, 2] = 255 - hard[:, :, 2]
    what = coded(hard, [[60] * 64] * 3)
    for scale in SCALES:
        highest, _ = away(by_native(written(what), scale), jpeg_coding.pixels(what, scale))
        assert highest < 2


@pytest.mark.parametrize("size", [(65_500, 3), (3, 65_500)])
def test_longest_pictures(size: tuple[int, int]) -> None:
    line = np.arange(65_500) // 257
    grey = np.broadcast_to(line.astype(np.uint8), (3, 65_500))
    grey = grey if size[0] > 3 else grey.T
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(buffer, "JPEG", quality=95)
    for scale in SCALES:
        highest = np.abs(
            np.asarray(by_native(buffer.getvalue(), scale), int)
            - by_pillow(buffer.getvalue(), scale)
        ).max()
        assert highest <= 1


def _camera_tables() -> dict[str, list[bytes]]:
    path = Path(__file__).with_name("camera_tables.json")
    found: dict[str, list[str]] = json.loads(path.read_text())
    return {name: [bytes.fromhex(one) for one in tables] for name, tables in found.items()}


@together("name, huffman", _camera_tables().items())
def test_tables_of_cameras(name: str, huffman: list[bytes]) -> None:
    steps = [
        [1 + place // 9 for place in range(64)],
        *[[2 + place // 3 for place in range(64)]] * 2,
    ]
    for luma, interval in (((2, 1), 4), ((2, 2), 0)):
        factors = (luma, (1, 1), (1, 1))
        what = coded(pictures.scene(100, 60), steps, factors, interval, huffman)
        for scale in SCALES:
            highest, _ = away(by_native(written(what), scale), jpeg_coding.pixels(what, scale))
            assert highest < 2


@together(
    "name, data",
    [
        ("padded with zeros", lambda: written(photo(), padding="0")),
        ("data behind its end", lambda: written(photo()) + b"\xff\xd8 a video \xff\xd9"),
        ("without JFIF", lambda: written(photo(), before=b"")),
        ("Adobe's YCbCr", lambda: written(photo(), before=adobe(1))),
        ("JFIF and Adobe's RGB", lambda: written(photo(), before=JFIF + adobe(0))),
        ("tables defined twice", lambda: written(photo(), before=redefined())),
        ("an interval taken back", lambda: written(photo(), before=intervals(3, 0))),
        ("extended sequential", lambda: written(photo()).replace(b"\xff\xc0", b"\xff\xc1", 1)),
        ("grey with factors", lambda: factors_of_grey(0x42)),
        ("a comment", lambda: written(photo(), before=segment(0xFE, b"\xff\xd9 no end"))),
    ],
)
def test_sound_file_is_decoded(name: str, data: Callable[[], bytes]) -> None:
    what, made = photo(luma=None) if name.startswith("grey") else photo(), data()
    for scale in SCALES:
        highest, _ = away(by_native(made, scale), jpeg_coding.pixels(what, scale))
        assert highest < 2
        by_pillow(made, scale)


def adobe(transform: int) -> bytes:
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes((transform,)))


def intervals(*numbers: int) -> bytes:
    return b"".join(segment(0xDD, struct.pack(">H", one)) for one in numbers)


def redefined() -> bytes:
    other = jpeg_coding.standard_huffman()[0]
    return segment(0xDB, b"\0" + b"\x07" * 64) + segment(0xC4, b"\x01" + other[1:])


def factors_of_grey(factors: int) -> bytes:
    data = bytearray(written(photo(luma=None)))
    data[data.index(b"\xff\xc0") + 11] = factors
    return bytes(data)


# What it leaves to Pillow


def changed(data: bytes, marker: int, at: int, value: int) -> bytes:
    """A file with another value of a byte, counted from a marker."""
    place = data.index(bytes((0xFF, marker))) + at
    return data[:place] + bytes((value,)) + data[place + 1 :]


def saved(mode: str = "RGB", **options: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pictures.scene(75, 50)).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def in_data(new: bytes, share: float = 0.5, data: bytes = b"") -> bytes:
    """A file with other bytes somewhere in its data."""
    data = data or written(photo())
    scan = data.index(b"\xff\xda")
    at = scan + int((len(data) - scan) * share)
    return data[:at] + new + data[at + len(new) :]


def with_table(payload: bytes) -> bytes:
    what = photo()
    what.huffman = [*what.huffman[1:], what.huffman[0]]
    data = written(what)
    old = segment(0xC4, what.huffman[-1])
    return data.replace(old, segment(0xC4, payload))


def _refused() -> Iterator[tuple[str, Callable[[], bytes]]]:
    sound = written(photo())
    restarts = written(photo(interval=2))
    standard = jpeg_coding.standard_huffman()[0]
    yield "progressive", lambda: saved(progressive=True)
    yield "CMYK", lambda: saved("CMYK")
    yield "Adobe's RGB", lambda: written(photo(), before=adobe(0))
    yield "an unknown transform", lambda: written(photo(), before=adobe(2))
    yield "RGB by its components", lambda: saved(keep_rgb=True)
    yield (
        "short JFIF and Adobe's RGB",
        lambda: written(photo(), before=segment(0xE0, b"JFIF\0\1\1") + adobe(0)),
    )
    yield "another sampling", lambda: written(photo(luma=(4, 1)))
    yield "12 bits", lambda: changed(sound, 0xC0, 4, 12)
    yield "arithmetic coding", lambda: changed(sound, 0xC0, 1, 0xC9)
    yield "lossless", lambda: changed(sound, 0xC0, 1, 0xC3)
    yield "an impossible factor", lambda: factors_of_grey(0x51)
    yield "a factor of 0", lambda: factors_of_grey(0x01)
    yield (
        "tables of 16 bits",
        lambda: sound.replace(
            segment(0xDB, b"\0" + bytes(quantisation(85, chroma=False))),
            segment(0xDB, b"\x10" + struct.pack(">64H", *quantisation(85, chroma=False))),
        ),
    )
    yield "no quantisation table", lambda: changed(sound, 0xDB, 4, 3)
    yield "no Huffman table", lambda: changed(sound, 0xC4, 4, 3)
    yield "a code of ones alone", lambda: _with_ones()
    yield "too many codes", lambda: with_table(b"\0\3" + bytes(15) + b"\0\5\6")
    yield "a size of 16 bits", lambda: with_table(standard[:-1] + b"\x10")
    yield "other coefficients", lambda: changed(sound, 0xDA, 12, 62)
    yield "fill bytes in the header", lambda: sound.replace(b"\xff\xda", b"\xff\xff\xda")
    yield "fill bytes before the end", lambda: sound[:-2] + b"\xff" + EOI
    yield "no end", lambda: sound[:-2]
    yield "cut short", lambda: sound[: len(sound) * 2 // 3]
    yield "a height behind the data", lambda: sound[:-2] + segment(0xDC, b"\0\x32") + EOI
    yield "a hole", lambda: in_data(bytes(60))
    yield "a marker in its data", lambda: in_data(b"\xff\xfe")
    yield "a byte too many", lambda: sound[:-2] + b"\x12" + EOI
    yield "padded with both", lambda: _padded_with_both()
    yield "a restart is missing", lambda: restarts.replace(b"\xff\xd1", b"", 1)
    yield "restarts in disorder", lambda: restarts.replace(b"\xff\xd1", b"\xff\xd2", 1)
    yield "a restart too many", lambda: restarts[:-2] + b"\xff\xd0" + EOI
    yield "restarts without an interval", lambda: restarts.replace(intervals(2), b"")
    yield "means out of range", lambda: _with_a_mean_of(600)
    yield "nothing but its header", lambda: sound[: sound.index(b"\xff\xda") + 14] + EOI


def _with_ones() -> bytes:
    """A file coded with a table that leaves no code unused, which libjpeg forbids (annex C)."""
    what = photo()
    counts = bytes((0, 3, 1, 1, 1, 1, 1, 1, 1, 2)) + bytes(6)
    what.huffman[0] = b"\0" + counts + bytes(range(12))
    return written(what)


def _padded_with_both() -> bytes:
    """A file whose last byte ends with a one and some zeros that belong to no code."""
    for size in range(50, 90):
        data = written(photo((size, 50)))
        last = data[-3]
        # At least three bits are padding, all ones.
        if last & 7 == 7 and written(photo((size, 50)), padding="0")[-3] & 7 == 0:
            return data[:-3] + bytes((last & ~1,)) + EOI
    raise AssertionError("no such size")


def _with_a_mean_of(level: int) -> bytes:
    what = photo(luma=None)
    what.components[0].blocks[2, 3, 0] = level * 8 // int(what.components[0].steps[0])
    return written(what)


@together("name, data", _refused())
def test_all_else_is_left_to_pillow(name: str, data: Callable[[], bytes]) -> None:
    made = data()
    for scale in SCALES:
        try:
            assert by_native(made, scale) is None, scale
        except (OSError, SyntaxError):
            # Pillow does not even open it.
            continue
        assert outcome(made, scale, jpeg_native.library) == outcome(made, scale, lambda: None)


def outcome(data: bytes, scale: int, library: Callable[[], Any]) -> object:
    """The pixels, or what is said about the file."""
    image = opened(data, scale)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg_native, "library", library)
        try:
            return jpeg_pixels.load(image, salvage=False), image.tobytes()
        except (OSError, PictureError) as error:
            return str(error)


def test_full_size_is_left_to_pillow() -> None:
    """It is as fast there, and its pixels are what everybody else's programs show."""
    assert by_native(written(photo()), 1) is None


def test_damaged_files() -> None:
    """A short version of scripts/tool fuzz_jpeg_native."""
    found = fuzz_jpeg_native.fuzz(400, 5)
    assert found.problems == []
    assert min(found.taken[scale] for scale in SCALES) > 5


# How it is used


def test_picture_is_decoded_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(quality=97)
    (tmp_path / "photo.jpg").write_bytes(data)

    def pixels() -> np.ndarray[Any, Any]:
        half = decode(str(tmp_path / "photo.jpg"), lambda size: (size[0] // 2, size[1] // 2))
        return np.asarray(half.image)

    np.testing.assert_array_equal(pixels(), by_native(data, 2))
    monkeypatch.setattr(jpeg_native, "library", lambda: None)
    np.testing.assert_array_equal(pixels(), by_pillow(data, 2))


def test_first_of_several_pictures_is_decoded(tmp_path: Path) -> None:
    """MPO, whose further pictures follow."""
    image = Image.fromarray(pictures.scene(90, 60))
    image.save(tmp_path / "photo.mpo", save_all=True, append_images=[image.rotate(180)] * 2)
    data = (tmp_path / "photo.mpo").read_bytes()
    half = decode(str(tmp_path / "photo.mpo"), lambda size: (size[0] // 2, size[1] // 2))
    what = jpeg_coding.read(data)
    highest, _ = away(np.asarray(half.image), jpeg_coding.pixels(what, 2))
    assert highest < 2
    assert (np.asarray(half.image) != by_pillow(data, 2)).any()


def test_threads_have_data_of_their_own() -> None:
    files = [written(photo((40 + 9 * number, 60))) for number in range(8)]
    expected = [by_native(data, 2) for data in files]
    found: list[list[Any]] = [[] for _ in files]
    ready = threading.Barrier(len(files))

    def work(number: int) -> None:
        ready.wait()
        found[number] += [by_native(files[number], 2) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pictures_of_one, pixels in zip(found, expected, strict=True):
        assert len(pictures_of_one) == 20
        for one in pictures_of_one:
            np.testing.assert_array_equal(one, pixels)


def test_file_that_cannot_be_read_leaves_nothing_behind() -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if size == jpeg_native.PIECE:
                raise OSError("the disk is gone")
            return super().read(size)

    image = opened(written(photo()), 2)
    start = image.fp.tell()
    with pytest.raises(OSError, match="the disk is gone"):
        jpeg_native.load(image, Broken(written(photo())), start)
    assert by_native(written(photo()), 2) is not None


def test_without_a_picture_nothing_is_decoded(library: Any) -> None:
    library.end()
    image = Image.new("RGB", (2, 2))
    assert library.decode(library.rows(image.im)) != 0
    assert library.decode(None) != 0
    assert library.begin(b"", 0, 0, 2, 1, 1, 1) != 0
    head = written(photo())
    head = head[: head.index(b"\xff\xda") + 14]
    # A picture of another size, or a scale that is not known.
    assert library.begin(head, len(head), 9, 2, 38, 26, 4) != 0
    assert library.begin(head, len(head), 9, 3, 25, 17, 4) != 0
    # More memory than there can be.
    assert library.begin(head, len(head), 1 << 62, 2, 38, 25, 4) != 0
    assert library.begin(head, len(head), 9, 2, 38, 25, 4) == 0
    library.end()


# Whether it is used


def told(**environment: str) -> str:
    """What `imgbatch formats` says about it, and that it is no part of the import of anything."""
    code = "import sys; from imgbatch.imaging.codecs import jpeg, jpeg_native"
    code += "; assert 'ctypes' not in sys.modules; print(jpeg.CODEC.told())"
    command = [sys.executable, "-c", code]
    run = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return run.stdout


def test_variable_switches_it_off() -> None:
    assert "Pillow: the native decoder is switched off (IMGBATCH_NATIVE is 0)" in told(
        IMGBATCH_NATIVE="0"
    )
    assert told(IMGBATCH_NATIVE="1") == (
        "decoded at reduced size by the native decoder (IMGBATCH_NATIVE=0 switches it off)\n"
    )


def test_workers_have_it_from_their_server() -> None:
    code = "import sys; import imgbatch.running.preloaded; from imgbatch.imaging.codecs import"
    code += " native_api, jpeg_native; print(jpeg_native.library.cache_info().currsize)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "1\n"


def test_formats_command_tells_whether_it_is_used() -> None:
    assert f"\n          {jpeg_native.use()}\n" in CliRunner().invoke(group, ["formats"]).output


def test_library_that_does_not_fit_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trouble() -> str:
        with pytest.raises(native_api.UnusableError) as caught:
            native_api.Library()
        return str(caught.value)

    monkeypatch.setattr(native_api, "_VERSION", 1)
    assert trouble() == "is of another version than imgbatch"
    monkeypatch.undo()
    # Of a Pillow with another structure.
    monkeypatch.setattr(native_api._Imaging, "bands", native_api._Imaging.depth)
    assert trouble() == "does not know this version of Pillow"
    monkeypatch.undo()
    monkeypatch.setattr(native_api, "_FOLDER", str(tmp_path))
    assert trouble() == "was not built (that needs Rust when imgbatch is installed)"
    (tmp_path / native_api._NAME).write_bytes(b"of another machine")
    assert trouble().startswith("cannot be loaded: ")
