"""Files that are not pictures, truncated, damaged, or that change while they are read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from toolkit import pictures
from toolkit.decoding import SIZE, SUFFIX, all_of_it, decoded, failure, kinds, sample
from toolkit.pictures import saved

from imgbatch.errors import PictureError
from imgbatch.imaging import formats
from imgbatch.imaging.codecs import jpeg_native
from imgbatch.imaging.decode import Demand, decode
from imgbatch.model import MAX_PIXELS


def failed_stage(folder: Path, data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> str | None:
    """The stage in which these bytes fail as a picture, None if they do not fail."""
    try:
        decoded(folder, data, name, max_pixels=max_pixels)
    except PictureError as error:
        return error.failure.stage
    return None


# Files that are no pictures


CLASS_NAMES: Final = re.compile(r"\b\w*(Error|Exception|Warning)\b|Traceback|<.* object at")

FOREIGN: Final = {
    "empty": (b"", "empty"),
    "text": (b"Dear Ada,\nhere are the pictures you wanted.\n", "not a picture"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "PostScript"),
    "PostScript with a preview": (b"\xc5\xd0\xd3\xc6" + bytes(60), "PostScript"),
    "PDF": (b"%PDF-1.7\n1 0 obj\n", "PDF"),
    "ZIP": (b"PK\x03\x04" + bytes(60), "ZIP"),
    "a web page": (b"<!DOCTYPE html><title>404</title>", "web page"),
    "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    "a film": (b"\0\0\0\x18ftypisom" + bytes(60), "video"),
    "Photoshop": (b"8BPS\0\1" + bytes(60), "Photoshop"),
    "zeros": (bytes(1_000), "not a picture"),
    "one byte": (b"\xff", "not a picture"),
}


@pytest.mark.parametrize("name", ["photo.jpg", "photo.tga", "photo.tif"])
@pytest.mark.parametrize("what", FOREIGN)
def test_non_picture_is_named_in_words(tmp_path: Path, what: str, name: str) -> None:
    data, words = FOREIGN[what]
    if name == "photo.tga" and words == "not a picture":
        words = "not supported"
    error = failure(tmp_path, data, name)
    assert error.failure.stage == "open"
    assert words in error.failure.message
    assert not CLASS_NAMES.search(error.failure.message)


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.eps", "photo.tga"])
@pytest.mark.parametrize("what", ["PostScript", "PostScript with a preview"])
def test_postscript_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, name: str
) -> None:
    started: list[object] = []
    for module, function in ((subprocess, "Popen"), (os, "system"), (os, "posix_spawn")):
        monkeypatch.setattr(module, function, lambda *words, **more: started.append(words))
    failure(tmp_path, FOREIGN[what][0], name)
    assert started == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Ghostscript is a script")
def test_postscript_among_photographs_never_reaches_ghostscript(tmp_path: Path) -> None:
    photos, programs = tmp_path / "photos", tmp_path / "programs"
    photos.mkdir()
    programs.mkdir()
    for program in ("gs", "gswin64c"):
        (programs / program).write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
        (programs / program).chmod(0o755)
    (photos / "good.jpg").write_bytes(sample("JPEG"))
    (photos / "evil.jpg").write_bytes(FOREIGN["PostScript"][0])
    done = subprocess.run(
        [sys.executable, "-m", "imgbatch", "resize", str(photos), "-j", "1"],
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "PostScript" in done.stderr
    assert not (tmp_path / "started").exists()
    assert (tmp_path / "photos-resized" / "good.jpg").exists()


@pytest.mark.parametrize("other", ["PCX", "SGI", "DDS", "MSP"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.tga"])
def test_formats_outside_the_table_are_not_opened(tmp_path: Path, other: str, name: str) -> None:
    """Pillow knows many more, some of which are not safe for untrusted files."""
    image = Image.new("1" if other == "MSP" else "RGB", SIZE)
    assert failure(tmp_path, saved(image, other), name).failure.stage == "open"


def test_missing_file_and_folder_are_named_in_words(tmp_path: Path) -> None:
    with pytest.raises(PictureError) as missing:
        decode(str(tmp_path / "no.jpg"), all_of_it)
    assert (missing.value.failure.stage, missing.value.failure.kind) == ("open", "not-found")
    with pytest.raises(PictureError) as folder:
        decode(str(tmp_path), all_of_it)
    assert folder.value.failure.kind == "unreadable"
    for error in (missing.value, folder.value):
        assert not CLASS_NAMES.search(error.failure.message)


# Files that are cut short or damaged


@pytest.mark.parametrize("source", SUFFIX)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated_file_fails_with_a_message(tmp_path: Path, source: str, share: float) -> None:
    data = saved(pictures.scene(), source)
    error = failure(tmp_path, data[: int(len(data) * share)], f"photo{SUFFIX[source]}")
    assert error.failure.stage in ("open", "decode")
    assert error.failure.kind in ("truncated", "broken")
    assert re.search("cut short|broken", error.failure.message)
    assert not CLASS_NAMES.search(error.failure.message)


@pytest.mark.slow
@pytest.mark.parametrize("source", SUFFIX)
def test_file_truncated_anywhere_raises_picture_error(tmp_path: Path, source: str) -> None:
    """Nothing but a PictureError; some formats survive the loss of the last few bytes."""
    data = sample(source)
    lengths = {*range(60), *range(60, len(data), 1 + len(data) // 40)}
    name = f"photo{SUFFIX[source]}"
    stages = [failed_stage(tmp_path, data[:length], name) for length in lengths]
    assert set(stages) <= {"open", "decode", None}
    assert stages.count(None) < 8


@pytest.mark.slow
@pytest.mark.parametrize("source", SUFFIX)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6
    )
)
def test_damaged_file_raises_picture_error_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, source: str, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(sample(source))
    for at, damage in changes:
        at %= len(data)
        data[at : at + len(damage)] = damage
    folder = tmp_path_factory.getbasetemp()
    stage = failed_stage(folder, bytes(data), f"damaged{SUFFIX[source]}", max_pixels=100_000)
    assert stage in ("open", "decode", "operate", None)


@pytest.mark.parametrize("raised", [KeyError("x"), IndexError("y"), TypeError(), RuntimeError("z")])
def test_any_exception_from_a_plugin_is_a_failure_of_this_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def broken(*words: object) -> None:
        raise raised

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", broken)
    error = failure(tmp_path, sample("PNG"), "photo.png")
    assert (error.failure.stage, error.failure.kind) == ("decode", "broken")


def test_out_of_memory_is_reported_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*words: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load_prepare", broken)
    error = failure(tmp_path, sample("JPEG"))
    assert (error.failure.stage, error.failure.kind) == ("decode", "memory")
    assert "memory" in error.failure.message
    assert not CLASS_NAMES.search(error.failure.message)


@pytest.mark.parametrize("source", ["WEBP", "AVIF", "JPEG2000"])
def test_missing_codec_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr(formats, "available", lambda row: False)
    error = failure(tmp_path, sample(source))
    assert error.failure.kind == "no-codec"
    assert formats.BY_NAME[source.lower()].label in error.failure.message


# Keeping what there is of a file that is cut short


def cut(data: bytes, share: float = 0.6) -> bytes:
    return data[: int(len(data) * share)]


RESCUED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "JPEG": ("JPEG", {"quality": 95}),
    "JPEG at 1/2": ("JPEG", {"quality": 95}),
    "PNG": ("PNG", {}),
    "TIFF": ("TIFF", {}),
    "GIF": ("GIF", {"interlace": 0}),
    "BMP": ("BMP", {}),
    "PPM": ("PPM", {}),
    "TGA": ("TGA", {}),
    "packed TGA": ("TGA", {"compression": "tga_rle"}),
    "ICO": ("ICO", {"sizes": [(256, 256)]}),
}


@pytest.mark.parametrize("what", RESCUED)
def test_salvage_keeps_the_decoded_part_of_a_truncated_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    # It is Pillow that decodes what is cut short, and the native decoder keeps more detail.
    monkeypatch.setattr(jpeg_native, "library", lambda: None)
    source, options = RESCUED[what]
    path = tmp_path / f"photo{SUFFIX[source]}"
    data = saved(pictures.scene(256, 256), source, **options)
    least = (128, 128) if "1/2" in what else (256, 256)
    path.write_bytes(data)
    whole = np.asarray(decode(str(path), lambda size: least).image).astype(int)
    path.write_bytes(cut(data))
    asked: list[Demand] = []
    picture = decode(str(path), lambda size: least, salvage=True, admit=asked.append)
    assert kinds(picture) == ["truncated"]
    assert "cut short" in picture.notices[0].message
    assert len(asked) == 1
    pixels = np.asarray(picture.image).astype(int)
    assert pixels.shape == whole.shape
    # Some formats start with the last row. A little is lost at the cut.
    same = (np.abs(pixels - whole).max(axis=-1) <= 8).all(axis=1)
    third = len(same) // 3
    assert same[:third].all() or same[-third:].all()
    assert not same.all()


def test_truncated_progressive_jpeg_is_kept_as_a_rough_picture(tmp_path: Path) -> None:
    pixels = pictures.scene(256, 256)
    (tmp_path / "photo.jpg").write_bytes(cut(saved(pixels, "JPEG", progressive=True, quality=95)))
    picture = decode(str(tmp_path / "photo.jpg"), all_of_it, salvage=True)
    assert kinds(picture) == ["truncated"]
    assert np.abs(np.asarray(picture.image).astype(int) - pixels).mean() < 16


NOT_RESCUED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "WEBP": ("WEBP", {}),
    "AVIF": ("AVIF", {}),
    "JPEG2000": ("JPEG2000", {}),
    "QOI": ("QOI", {}),
    "packed TIFF": ("TIFF", {"compression": "tiff_lzw"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", NOT_RESCUED)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95])
def test_unsalvageable_file_fails_as_usual(tmp_path: Path, what: str, share: float) -> None:
    source, options = NOT_RESCUED[what]
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(cut(saved(pictures.scene(256, 256), source, **options), share))
    failures = []
    for salvage in (False, True):
        with pytest.raises(PictureError) as caught:
            decode(str(path), all_of_it, salvage=salvage)
        failures.append(caught.value.failure)
    assert failures[0] == failures[1]


def test_first_failure_is_reported_if_nothing_can_be_salvaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: object) -> None:
        raise OSError("gone" if ImageFile.LOAD_TRUNCATED_IMAGES else "truncated")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", broken)
    (tmp_path / "photo.png").write_bytes(sample("PNG"))
    with pytest.raises(PictureError) as caught:
        decode(str(tmp_path / "photo.png"), all_of_it, salvage=True)
    assert caught.value.failure.kind == "truncated"
    assert "gone" not in caught.value.failure.message


@pytest.mark.parametrize("source", SUFFIX)
def test_whole_file_is_not_reported_as_truncated(tmp_path: Path, source: str) -> None:
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(sample(source))
    assert decode(str(path), all_of_it, salvage=True).notices == ()


def test_damaged_file_is_not_salvaged(tmp_path: Path) -> None:
    """Pillow would swallow damage as well while it allows truncated files."""
    data = bytearray(saved(pictures.scene(64, 48), "PNG"))
    middle = data.index(b"IDAT") + 40
    data[middle : middle + 20] = bytes(20)
    (tmp_path / "photo.png").write_bytes(data)
    with pytest.raises(PictureError) as caught:
        decode(str(tmp_path / "photo.png"), all_of_it, salvage=True)
    assert caught.value.failure.kind == "broken"


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("salvage", [False, True])
@pytest.mark.parametrize("source", ["PNG", "WEBP"])
def test_truncated_files_are_allowed_only_for_the_moment(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    salvage: bool,
    elsewhere: bool,
) -> None:
    """Whatever the surrounding program sets, and however decoding ends."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", elsewhere)
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(cut(saved(pictures.scene(), source)))
    seen: list[bool] = []

    def look(demand: Demand) -> None:
        seen.append(ImageFile.LOAD_TRUNCATED_IMAGES)

    try:
        decode(str(path), all_of_it, salvage=salvage, admit=look)
    except PictureError:
        failed = True
    else:
        failed = False
    assert failed == (source == "WEBP" or not salvage)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is elsewhere
    assert all(one is elsewhere for one in seen)


# Files that change while they are read


CUT_WHILE_READ: Final = """
import os, sys, threading, time
from imgbatch.errors import PictureError
from imgbatch.imaging.decode import decode

path, delay = sys.argv[1], 0.0
data = open(path, "rb").read()
for attempt in range(25):
    with open(path, "wb") as file:
        file.write(data)
    cutter = threading.Timer(attempt * 0.0005, os.truncate, (path, 5_000))
    try:
        decode(path, lambda size: size, admit=lambda demand: cutter.start())
    except PictureError:
        pass
    cutter.join()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not cut a file that is open")
@pytest.mark.parametrize(
    ("source", "options"),
    [
        pytest.param("TIFF", {"compression": "tiff_lzw"}, id="tiff-lzw"),
        pytest.param("TIFF", {"compression": "jpeg"}, id="tiff-jpeg"),
        pytest.param("TIFF", {}, id="tiff"),
        pytest.param("BMP", {}, id="bmp"),
    ],
)
def test_file_truncated_while_it_is_read_kills_no_process(
    tmp_path: Path, source: str, options: dict[str, Any]
) -> None:
    """libtiff maps files into memory; reading a page that is gone from the map raises SIGBUS."""
    noise = np.random.default_rng(1).integers(0, 256, (750, 1_000, 3), dtype=np.uint8)
    path = tmp_path / f"photo{SUFFIX[source]}"
    path.write_bytes(saved(noise, source, **options))
    done = subprocess.run(
        [sys.executable, "-c", CUT_WHILE_READ, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    # libtiff may print a message of its own there.
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
