"""JPEGs that libjpeg decodes with no more than a warning: what is damaged fails, the rest is made.

The judge is djpeg, libjpeg-turbo's own program: it exits with 2 where libjpeg warns.
"""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures, programs
from toolkit.cases import together
from tools import damage_jpegs

import imgbatch
from imgbatch.errors import PictureError
from imgbatch.imaging.codecs import jpeg_pixels
from imgbatch.imaging.containers import jpeg
from imgbatch.imaging.decode import decode
from imgbatch.model import Size

END: Final = b"\xff\xd9"
CODINGS: Final[dict[str, dict[str, Any]]] = {
    **damage_jpegs.CODINGS,
    "a restart for each block": {"restart_marker_blocks": 1},
    "optimized 4:4:4": {"optimize": True, "subsampling": 0},
    "progressive 4:4:4": {"progressive": True, "subsampling": 0},
}


def saved(size: Size = (320, 200), mode: str = "RGB", quality: int = 90, **options: Any) -> bytes:
    image = Image.fromarray(pictures.scene(*size)).convert(mode)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, **options)
    return buffer.getvalue()


def of_djpeg(data: bytes) -> NDArray[np.int16]:
    """The pixels that djpeg writes, whatever it warns of."""
    command = [programs.path_of("djpeg"), "-pnm"]
    run = subprocess.run(command, input=data, capture_output=True, check=False)
    assert run.returncode in (0, 2), run.stderr
    return np.asarray(Image.open(BytesIO(run.stdout))).astype(np.int16)


def decoded(
    path: Path, data: bytes, *, salvage: bool = False
) -> tuple[NDArray[np.int16], list[str]]:
    path.write_bytes(data)
    picture = decode(str(path), lambda size: size, salvage=salvage)
    return np.asarray(picture.image).astype(np.int16), [one.kind for one in picture.notices]


def failure_of(path: Path, data: bytes) -> str:
    with pytest.raises(PictureError) as caught:
        decoded(path, data)
    assert caught.value.failure.stage == "decode"
    return caught.value.failure.kind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "photo.jpg"


# What is damaged


@pytest.mark.slow
@pytest.mark.external("djpeg")
def test_damage_is_noticed_where_djpeg_warns(path: Path) -> None:
    """A short version of scripts/tool damage_jpegs."""
    image = Image.fromarray(pictures.scene(640, 480))
    found = damage_jpegs.outcomes([*damage_jpegs.encoded(image)], 160, Random(3), path)
    assert found.warned.total() > 100
    assert found.suffice, found.missed
    assert found.alone.total() == 0


def hole(data: bytes, share: float, size: int) -> bytes:
    """A file with zeros in place of some bytes of its data."""
    *_, scan = jpeg.walk(BytesIO(data))
    at = scan.stop + int((len(data) - scan.stop) * share)
    return data[:at] + bytes(size) + data[at + size :]


@pytest.mark.external("djpeg")
@pytest.mark.parametrize(
    "coding", ["baseline", "restarts", "frequent restarts", "progressive 4:4:4"]
)
def test_hole_of_zeros_fails_and_is_salvaged(path: Path, coding: str) -> None:
    data = hole(saved((600, 400), **CODINGS[coding]), 0.4, 1_500)
    assert damage_jpegs.djpeg_warns(data)
    assert failure_of(path, data) == "damaged"
    pixels, notices = decoded(path, data, salvage=True)
    assert notices == ["damaged"]
    np.testing.assert_array_equal(pixels, of_djpeg(data))


@pytest.mark.external("djpeg")
@pytest.mark.parametrize("coding", ["restarts", "frequent restarts"])
def test_damage_within_a_restart_interval_of_a_long_file_fails(path: Path, coding: str) -> None:
    data = hole(saved((1_200, 900), quality=97, **CODINGS[coding]), 0.45, 40)
    assert damage_jpegs.djpeg_warns(data)
    assert failure_of(path, data) == "damaged"


@pytest.mark.external("djpeg")
@pytest.mark.parametrize("beyond", [-1, 0, 1, 10])
def test_data_behind_the_pixels_fail_wherever_they_end(path: Path, beyond: int) -> None:
    """Files are read 65,536 bytes at a time."""
    data = saved()
    *_, scan = jpeg.walk(BytesIO(data))
    body = data.removesuffix(END)
    data = body.ljust(scan.stop + 65_536 + beyond, b"\x55") + END
    assert damage_jpegs.djpeg_warns(data)
    assert failure_of(path, data) == "damaged"


@pytest.mark.external("djpeg")
@pytest.mark.parametrize("share", [0.55, 0.6, 0.65, 0.7])
@pytest.mark.parametrize("coding", ["progressive", "progressive 4:4:4", "progressive, restarts"])
def test_hole_before_empty_blocks_is_judged_by_libjpeg(
    path: Path, coding: str, share: float
) -> None:
    """What a progressive scan says last holds for all the blocks that are left, however many."""
    data = hole(saved((600, 400), **CODINGS[coding]), share, 600)
    if damage_jpegs.djpeg_warns(data):
        assert failure_of(path, data) == "damaged"
    else:
        assert decoded(path, data)[1] == []


def test_drawing_with_many_zeros_is_made(path: Path) -> None:
    pixels = np.zeros((600, 800), np.uint8)
    pixels[:8] = pictures.scene(800, 8)[..., 0]
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", progressive=True, restart_marker_blocks=5_000)
    data = buffer.getvalue()
    *_, scan = jpeg.walk(BytesIO(data))
    assert bytes(64) in data[scan.stop :]
    assert decoded(path, data)[1] == []


@pytest.mark.external("djpeg")
def test_tail_of_zeros_fails(path: Path) -> None:
    """As in a copy that was given its full length beforehand, and then cut short."""
    data = saved((600, 400))
    data = data[: len(data) // 2].ljust(len(data), b"\0")
    assert damage_jpegs.djpeg_warns(data)
    assert failure_of(path, data) in ("damaged", "truncated")


def without_restart(data: bytes) -> bytes:
    """A file that lacks the second of its restart intervals, with the marker before it."""
    first, second, *_ = re.finditer(rb"\xff[\xd0-\xd7]", data)
    return data[: first.start()] + data[second.start() :]


def without_last_restart(data: bytes) -> bytes:
    *_, last = re.finditer(rb"\xff[\xd0-\xd7]", data)
    return data[: last.start()] + END


@pytest.mark.external("djpeg")
@pytest.mark.parametrize("harm", [without_restart, without_last_restart])
def test_missing_restart_interval_fails(path: Path, harm: Callable[[bytes], bytes]) -> None:
    data = harm(saved(restart_marker_rows=1))
    assert damage_jpegs.djpeg_warns(data)
    assert failure_of(path, data) == "damaged"


@pytest.mark.parametrize("salvage", [False, True])
def test_batch_fails_damaged_files_and_salvages_them_if_asked(
    tmp_path: Path, path: Path, salvage: bool
) -> None:
    path.write_bytes(hole(saved((600, 400)), 0.4, 1_500))
    recipe = imgbatch.Recipe.from_options(sizes=["100"])
    (result,) = imgbatch.run(recipe, [path], output=tmp_path / "out", jobs=1, salvage=salvage)
    assert [one.kind for one in result.notices] == (["damaged"] if salvage else [])
    assert (result.status == "done") == salvage


# What is whole


def padded(data: bytes) -> bytes:
    return data.removesuffix(END) + b"\xff\xff\xff" + END


def zeros_before_end(data: bytes) -> bytes:
    return data.removesuffix(END) + bytes(4) + END


def with_more(data: bytes) -> bytes:
    return data + bytes(range(256)) * 600 + END


def another_behind(data: bytes) -> bytes:
    return data + data


def as_it_is(data: bytes) -> bytes:
    return data


@together("quirk", [as_it_is, padded, zeros_before_end, with_more, another_behind])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("coding", CODINGS)
def test_whole_file_is_made_as_pillow_makes_it(
    path: Path, coding: str, mode: str, quirk: Callable[[bytes], bytes]
) -> None:
    options = {"subsampling": 0, **CODINGS[coding]} if mode == "CMYK" else CODINGS[coding]
    data = saved(mode=mode, **options)
    pixels, notices = decoded(path, quirk(data))
    assert notices == []
    with Image.open(BytesIO(data)) as image:
        np.testing.assert_array_equal(pixels, np.asarray(image))


@pytest.mark.slow
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("quirk", [as_it_is, with_more, another_behind])
def test_file_that_is_read_in_pieces_is_made(
    path: Path, coding: str, quirk: Callable[[bytes], bytes]
) -> None:
    data = saved((1_200, 900), quality=97, **CODINGS[coding])
    assert len(data) > 5 * 65_536
    pixels, notices = decoded(path, quirk(data))
    assert notices == []
    with Image.open(BytesIO(data)) as image:
        np.testing.assert_array_equal(pixels, np.asarray(image))
    assert failure_of(path, quirk(hole(data, 0.5, 4_096))) == "damaged"


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("coding", CODINGS)
def test_flat_picture_is_made(path: Path, coding: str, level: int) -> None:
    """Its last blocks are so short that the decoder has read them ahead."""
    buffer = BytesIO()
    Image.new("L", (333, 222), level).save(buffer, "JPEG", **CODINGS[coding])
    pixels, notices = decoded(path, buffer.getvalue())
    assert notices == []
    assert (pixels == level).all()


# What lacks only its end


def samsung_trailer() -> bytes:
    """One entry, and the directory that tells where it is (see exiftool's Samsung.pm)."""
    name, text = b"Image_UTC_Data", b"1700000000000"
    entry = struct.pack("<HHI", 0, 0x0A01, len(name)) + name + text
    directory = b"SEFH" + struct.pack("<II", 107, 1)
    directory += struct.pack("<HHII", 0, 0x0A01, len(entry), len(entry))
    return entry + directory + struct.pack("<I", len(directory)) + b"SEFT"


@pytest.mark.external("djpeg")
@pytest.mark.parametrize("instead", [b"", b"\xff", samsung_trailer()], ids=["", "half", "samsung"])
@pytest.mark.parametrize("coding", CODINGS)
def test_missing_end_marker_is_only_a_warning(path: Path, coding: str, instead: bytes) -> None:
    data = saved(**CODINGS[coding])
    pixels, notices = decoded(path, data.removesuffix(END) + instead)
    assert notices == ["end-missing"]
    np.testing.assert_array_equal(pixels, of_djpeg(data))
    assert decoded(path, data + samsung_trailer())[1] == []


@pytest.mark.parametrize("instead", [b"", samsung_trailer()], ids=["", "samsung"])
@pytest.mark.parametrize("coding", CODINGS)
def test_file_that_lacks_more_than_its_end_is_cut_short(
    path: Path, coding: str, instead: bytes
) -> None:
    data = saved(**CODINGS[coding])
    assert failure_of(path, data[:-30] + instead) == "truncated"


def test_progressive_file_that_lacks_whole_scans_is_cut_short(path: Path) -> None:
    data = saved(progressive=True)
    starts = [found.start() for found in re.finditer(rb"\xff\xc4|\xff\xda", data)]
    assert failure_of(path, data[: starts[-2]]) == "truncated"


@pytest.mark.external("djpeg")
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("coding", ["baseline", "restarts", "progressive 4:4:4"])
def test_salvaged_part_is_what_djpeg_decodes(path: Path, coding: str, share: float) -> None:
    """Chroma is whole: djpeg before libjpeg-turbo 3 smooths halved chroma wrongly."""
    data = saved(**CODINGS[coding])
    data = data[: int(len(data) * share)]
    pixels, notices = decoded(path, data, salvage=True)
    assert notices == ["truncated"]
    np.testing.assert_array_equal(pixels, of_djpeg(data))


# What libjpeg decodes only at once


def arithmetic(data: bytes, *words: str) -> bytes:
    """The same pixels, coded arithmetically."""
    command = [programs.path_of("jpegtran"), "-arithmetic", *words]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@pytest.mark.external("djpeg", "jpegtran")
@pytest.mark.parametrize("words", [(), ("-progressive",), ("-restart", "1")])
@pytest.mark.parametrize("size", [(96, 64), (900, 700)])
def test_arithmetic_jpeg_of_any_length_is_made(
    path: Path, size: Size, words: tuple[str, ...]
) -> None:
    data = arithmetic(saved(size, quality=97), *words)
    assert (len(data) > 2 * 65_536) == (size[0] == 900)
    pixels, notices = decoded(path, data)
    assert notices == []
    np.testing.assert_array_equal(pixels, of_djpeg(data))


@pytest.mark.slow
@pytest.mark.external("djpeg", "jpegtran")
@pytest.mark.parametrize("words", [(), ("-progressive",), ("-restart", "1")])
def test_damage_to_an_arithmetic_jpeg_is_noticed_where_djpeg_warns(
    path: Path, words: tuple[str, ...]
) -> None:
    whole = [("arithmetic", arithmetic(saved((600, 400)), *words))]
    found = damage_jpegs.outcomes(whole, 40, Random(5), path)
    assert found.warned.total() > 20
    assert found.suffice, found.missed
    assert found.alone.total() == 0


@pytest.mark.external("djpeg", "jpegtran")
@pytest.mark.parametrize("size", [(96, 64), (900, 700)])
def test_arithmetic_jpeg_that_is_cut_short_is_salvaged(path: Path, size: Size) -> None:
    data = arithmetic(saved(size, quality=97))
    data = data[: len(data) // 2]
    assert failure_of(path, data) == "truncated"
    pixels, notices = decoded(path, data, salvage=True)
    assert notices == ["truncated"]
    np.testing.assert_array_equal(pixels, of_djpeg(data))


# What stands between scans


def comment(length: int) -> bytes:
    return b"\xff\xfe" + struct.pack(">H", length + 2) + b"x" * length


def between_scans(data: bytes, more: bytes) -> bytes:
    """A progressive file with something before the header of its second scan."""
    _, second, *_ = re.finditer(rb"\xff\xda", data)
    return data[: second.start()] + more + data[second.start() :]


@pytest.mark.external("djpeg")
def test_what_was_passed_between_scans_is_dropped(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = between_scans(saved(progressive=True), 100 * comment(65_000))
    held = 0
    found = jpeg_pixels._Feed._bytes

    def watched(self: Any, *args: int) -> bytes:
        nonlocal held
        made = found(self, *args)
        held = max(held, len(self._data))
        return made

    monkeypatch.setattr(jpeg_pixels._Feed, "_bytes", watched)
    pixels, notices = decoded(path, data)
    assert notices == []
    assert 65_000 < held < 4 * 65_536
    np.testing.assert_array_equal(pixels, of_djpeg(data))


@pytest.mark.external("djpeg")
@pytest.mark.parametrize("filled", [b"", b"\xff\xff"], ids=["", "filled"])
@pytest.mark.parametrize("length", [4, 60_000])
@pytest.mark.parametrize("coding", CODINGS)
def test_segments_before_the_end_marker_are_passed(
    path: Path, coding: str, length: int, filled: bytes
) -> None:
    more = (filled + comment(length)) * 2 + filled
    data = saved(**CODINGS[coding]).removesuffix(END) + more + END
    assert not damage_jpegs.djpeg_warns(data)
    pixels, notices = decoded(path, data)
    assert notices == []
    np.testing.assert_array_equal(pixels, of_djpeg(data))


@pytest.mark.external("djpeg")
def test_fill_bytes_between_scans_are_passed(path: Path) -> None:
    data = saved(progressive=True)
    for more in (b"\xff\xff", b"\xff\xff" + comment(4) + b"\xff" * 70_000):
        filled = between_scans(data, more)
        assert not damage_jpegs.djpeg_warns(filled)
        assert decoded(path, filled)[1] == []


def test_junk_before_fill_bytes_is_not_waited_for(path: Path) -> None:
    # The length of this comment is one too short.
    junk = b"\xff\xfe\0\3xx\xff\xff"
    assert failure_of(path, between_scans(saved(progressive=True), junk)) == "damaged"


@pytest.mark.parametrize("tail", [comment(4), comment(4)[:5], comment(4) + b"\xff" * 9])
def test_end_marker_that_is_missing_behind_segments_is_told(path: Path, tail: bytes) -> None:
    data = saved().removesuffix(END)
    assert decoded(path, data + tail)[1] == ["end-missing"]
    # Neither does junk there make the picture damaged.
    assert decoded(path, data + tail + b"junk")[1] == ["end-missing"]


# What has very many restart intervals


FREQUENT: Final[dict[str, dict[str, Any]]] = {
    "baseline": {"restart_marker_blocks": 1},
    "progressive": {"restart_marker_blocks": 1, "progressive": True},
}


@pytest.mark.parametrize("coding", FREQUENT)
def test_many_restart_intervals_are_given_together(
    path: Path, monkeypatch: pytest.MonkeyPatch, coding: str
) -> None:
    data = saved((1_600, 1_200), "L", **FREQUENT[coding])
    calls = 0
    take = jpeg_pixels._Feed._take

    def counted(self: Any, some: Any) -> int:
        nonlocal calls
        calls += 1
        return take(self, some)

    monkeypatch.setattr(jpeg_pixels._Feed, "_take", counted)
    pixels, notices = decoded(path, data)
    assert notices == []
    intervals = len(re.findall(rb"\xff[\xd0-\xd7]", data))
    assert intervals >= 200 * 150 - 1
    assert calls < 4 * jpeg_pixels._CLOSELY < intervals
    with Image.open(BytesIO(data)) as image:
        np.testing.assert_array_equal(pixels, np.asarray(image))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there had been many restart intervals before."""
    monkeypatch.setattr(jpeg_pixels, "_CLOSELY", 0)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("quirk", [as_it_is, padded, with_more, another_behind])
@pytest.mark.parametrize("blocks", [1, 5, 700])
@pytest.mark.parametrize("progressive", [False, True])
def test_whole_file_of_many_intervals_is_made(
    path: Path, quirk: Callable[[bytes], bytes], blocks: int, *, progressive: bool
) -> None:
    data = saved((900, 600), restart_marker_blocks=blocks, progressive=progressive)
    pixels, notices = decoded(path, quirk(data))
    assert notices == []
    with Image.open(BytesIO(data)) as image:
        np.testing.assert_array_equal(pixels, np.asarray(image))


@pytest.mark.external("djpeg")
@pytest.mark.usefixtures("hurried")
def test_damage_within_one_of_many_intervals_is_noticed_where_djpeg_warns(path: Path) -> None:
    whole = saved((900, 600), quality=97, restart_marker_blocks=8)
    marks = re.findall(rb"\xff[\xd0-\xd7]", whole)
    warned = 0
    for share in range(5, 95, 5):
        data = hole(whole, share / 100, 60)
        if re.findall(rb"\xff[\xd0-\xd7]", data) == marks and damage_jpegs.djpeg_warns(data):
            warned += 1
            assert failure_of(path, data) == "damaged"
    assert warned > 2


@pytest.mark.external("djpeg")
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("coding", FREQUENT)
def test_interval_that_is_missing_among_many_is_noticed(path: Path, coding: str) -> None:
    data = saved((900, 600), **FREQUENT[coding])
    for share in (0.01, 0.3, 0.9):
        marks = [*re.finditer(rb"\xff[\xd0-\xd7]", data)]
        number = int(share * len(marks))
        less = data[: marks[number].start()] + data[marks[number + 1].start() :]
        assert damage_jpegs.djpeg_warns(less)
        assert failure_of(path, less) == "damaged"
