"""Camera raw through the extra `raw`, from DNG files made here (`toolkit.raw`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import rawpy
from PIL import Image
from toolkit import decoding, pictures
from toolkit.raw import CLOCKWISE, EXPECTED, SIZE, curve, dng, scene

import imgbatch
from imgbatch.errors import PictureError
from imgbatch.imaging import formats
from imgbatch.imaging.containers import tiff
from imgbatch.imaging.decode import Demand, decode, read_header
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.model import Size

decoded: Final = partial(decoding.decoded, name="photo.dng")


def middles(image: Image.Image) -> tuple[tuple[int, ...], ...]:
    """The colours in the middles of the quarters, clockwise from the top left one."""
    width, height = image.size
    places = ((1, 1), (7, 1), (7, 7), (1, 7))
    return tuple(image.getpixel((width * x // 8, height * y // 8)) for x, y in places)  # type: ignore[misc]


def far(image: Image.Image) -> int:
    """The greatest difference from what was put in."""
    wanted = np.array([EXPECTED[name] for name in CLOCKWISE])
    return int(np.abs(np.array(middles(image)) - wanted).max())


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_raw_file_is_developed_upright_and_balanced(tmp_path: Path, orientation: int) -> None:
    picture = decoded(tmp_path, dng(orientation=orientation))
    assert (picture.size, picture.full_size, picture.orientation) == (SIZE, SIZE, 1)
    assert (picture.mode, picture.format, picture.icc) == ("RGB", "jpeg", None)
    assert picture.notices == ()
    # LibRaw's curve is a table, and it scales to white to within a thousandth.
    assert far(picture.image) <= 1
    assert picture.image.getpixel((SIZE[0] // 2, SIZE[1] // 2)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("least", "given"),
    [((96, 64), (96, 64)), ((97, 64), SIZE), ((10, 10), (96, 64)), ((96, 65), SIZE)],
)
def test_half_size_is_developed_where_that_is_enough(
    tmp_path: Path, least: Size, given: Size
) -> None:
    asked: list[Demand] = []
    picture = decoded(tmp_path, dng(orientation=3), least=least, admit=asked.append)
    assert (picture.size, picture.full_size) == (given, SIZE)
    assert picture.area == (0, 0, *given)
    assert asked[0].decoded_size == given
    assert far(picture.image) <= 1


def test_half_of_odd_sizes_knows_where_the_picture_ends(tmp_path: Path) -> None:
    size = (191, 127)
    picture = decoded(tmp_path, dng(scene(size), 6), least=(50, 50))
    assert (picture.full_size, picture.size) == (size, (96, 64))
    assert picture.area == (0, 0, 95.5, 63.5)


# Files in which LibRaw has nothing to halve


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(192, 128), (191, 127)])
@pytest.mark.parametrize("kind", ["linear", "monochrome"])
def test_what_is_no_mosaic_comes_in_half_size_too(
    tmp_path: Path, kind: Any, size: Size, orientation: int
) -> None:
    """Each pixel is the mean of two by two of LibRaw's own at full size, in float64."""
    data = dng(scene(size), orientation, kind=kind)
    whole = decoded(tmp_path, data)
    assert (whole.size, whole.full_size) == (size, size)
    half = decoded(tmp_path, data, least=(50, 50))
    assert (half.full_size, half.size) == (size, (96, 64))
    assert half.area == (0, 0, size[0] / 2, size[1] / 2)
    with rawpy.imread(BytesIO(data)) as raw:
        developed = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, gamma=(2.4, 12.92), adjust_maximum_thr=0
        ).astype(np.float64)
    # The last column or row may have to be repeated.
    across, down = size[0] % 2, size[1] % 2
    padded = np.pad(developed, ((0, down), (0, across), (0, 0)), mode="edge")
    mean = padded.reshape(64, 2, 96, 2, -1).mean(axis=(1, 3))
    assert np.abs(np.asarray(half.image) - mean).max() <= 0.5


def test_linear_file_has_the_colours_of_a_mosaic(tmp_path: Path) -> None:
    assert far(decoded(tmp_path, dng(kind="linear"), least=(50, 50)).image) <= 1


def test_metadata_are_kept_without_maker_notes(tmp_path: Path) -> None:
    note = b"TESTA" + bytes(range(100))
    data = dng(orientation=6, exif=note, xmp=pictures.xmp_packet())
    picture = decoded(tmp_path, data)
    assert picture.metadata.exif is not None
    exif = picture.metadata.exif
    assert exif.text(0x0110) == pictures.MODEL
    assert exif.text(0x013B) == pictures.ARTIST
    assert exif.text(0x9003) == pictures.TAKEN
    assert exif.orientation == 1
    assert note not in picture.metadata.exif.tobytes()
    # Tags about the samples do not apply to the developed picture.
    assert exif.text(0xC614) is None
    assert picture.metadata.xmp is not None
    assert b"Ada Licht" in picture.metadata.xmp


def test_header_is_read_without_the_samples(tmp_path: Path) -> None:
    path = tmp_path / "photo.nef"
    path.write_bytes(dng(orientation=6, exif=b"note"))
    header = read_header(str(path))
    assert (header.size, header.date, header.camera) == (SIZE, pictures.TAKEN, pictures.MODEL)
    # Here the samples come last.
    path.write_bytes(dng(orientation=6)[:2000])
    header = read_header(str(path))
    assert (header.size, header.camera, header.format) == (SIZE, pictures.MODEL, "raw")


# The preview inside


def preview(size: Size, orientation: int = 1, **options: Any) -> bytes:
    upright = pictures.quarters(*size)
    return pictures.saved(pictures.stored(upright, orientation), "JPEG", quality=92, **options)


@pytest.mark.parametrize("orientation", [1, 6])
def test_largest_preview_is_taken_with_the_metadata_of_the_raw_file(
    tmp_path: Path, orientation: int
) -> None:
    small, large = preview((48, 32), orientation), preview((144, 96), orientation)
    data = dng(orientation=orientation, previews=(small, large), exif=b"note")
    picture = decoded(tmp_path, data, raw_preview=True)
    assert picture.full_size == (144, 96)
    assert pictures.corners(picture.upright().image) == pictures.UPRIGHT
    assert (picture.format, picture.as_stored) == ("jpeg", False)
    assert picture.metadata.exif is not None
    exif = picture.metadata.exif
    assert (exif.text(0x0110), exif.orientation) == (pictures.MODEL, 1)
    # Developed, it is another picture.
    assert decoded(tmp_path, data).size == SIZE


def test_preview_is_decoded_smaller_where_that_is_enough(tmp_path: Path) -> None:
    data = dng(previews=(preview((160, 96)),))
    picture = decoded(tmp_path, data, least=(40, 24), raw_preview=True)
    assert (picture.full_size, picture.size) == ((160, 96), (40, 24))


def test_preview_orientation_takes_precedence(tmp_path: Path) -> None:
    block = pictures.exif_block(orientation=1).block
    upright = preview((96, 144), exif=b"Exif\0\0" + block)
    picture = decoded(tmp_path, dng(orientation=6, previews=(upright,)), raw_preview=True)
    assert picture.full_size == (96, 144)
    assert pictures.corners(picture.upright().image) == pictures.UPRIGHT


def test_without_a_preview_the_message_says_so(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="preview") as caught:
        decoded(tmp_path, dng(), raw_preview=True)
    assert (caught.value.failure.stage, caught.value.failure.kind) == ("open", "no-preview")
    assert "broken" not in caught.value.failure.message


def test_darker_exposure_comes_out_darker(tmp_path: Path) -> None:
    """Two of a series, two stops apart: neither is brightened automatically."""
    light = np.empty((SIZE[1], SIZE[0], 3))
    shares = np.array([0.05, 0.1, 0.2, 0.4, 0.6, 0.9])
    light[:] = np.repeat(shares, -(-SIZE[0] // 6))[: SIZE[0], None]
    for exposure in (1, 1 / 4):
        image = decoded(tmp_path, dng(light * exposure)).image
        row = np.asarray(image)[SIZE[1] // 2].astype(int)
        for place in (2, SIZE[0] // 2 - 3, SIZE[0] - 3):
            wanted = curve(light[0, place, 0] * exposure)
            assert np.abs(row[place] - wanted).max() <= 2, (exposure, place)


# Through the program


def run(folder: Path, data: bytes, **options: Any) -> tuple[Image.Image, Path]:
    photos = folder / "photos"
    photos.mkdir()
    (photos / "photo.dng").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(**options)
    (result,) = imgbatch.run(recipe, [photos], output=folder / "out", jobs=1)
    assert result.failure is None, result.failure
    assert result.notices == ()
    path = Path(result.written[0].path)
    with Image.open(path) as image:
        image.load()
    return image, path


def test_raw_file_becomes_a_jpeg(tmp_path: Path) -> None:
    image, path = run(tmp_path, dng(orientation=8), quality=95)
    assert (path.name, image.format, image.size) == ("photo.jpg", "JPEG", SIZE)
    assert far(image) <= 3  # JPEG


def test_raw_file_in_another_format_and_size(tmp_path: Path) -> None:
    image, path = run(tmp_path, dng(orientation=6), sizes=["64"], format="png")
    assert (path.name, image.format, image.size) == ("photo.png", "PNG", (64, 43))
    assert far(image) <= 1


def test_preview_output_never_replaces_the_raw_file(tmp_path: Path) -> None:
    data = dng(previews=(preview((144, 96)),))
    image, path = run(tmp_path, data, raw_preview=True)
    assert (path.name, image.format, image.size) == ("photo.jpg", "JPEG", (144, 96))
    assert pictures.corners(image) == pictures.UPRIGHT


# Damage, and what only looks like one


def test_jpeg_with_a_raw_suffix_is_a_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "photo.nef"
    path.write_bytes(preview((48, 32)))
    picture = decode(str(path), lambda size: size)
    assert (picture.format, picture.size, picture.as_stored) == ("jpeg", (48, 32), True)


def test_truncated_file_is_reported_as_such(tmp_path: Path) -> None:
    data = dng()
    with pytest.raises(PictureError) as caught:
        decoded(tmp_path, data[: len(data) // 2])
    assert caught.value.failure.kind == "truncated"


def test_file_that_is_not_raw_is_broken(tmp_path: Path) -> None:
    with pytest.raises(PictureError) as caught:
        decoded(tmp_path, b"II*\0" + bytes(3000))
    assert (caught.value.failure.stage, caught.value.failure.kind) == ("open", "broken")


def test_damage_raises_nothing_but_picture_error(tmp_path: Path) -> None:
    whole = dng(previews=(preview((48, 32)),), exif=b"note")
    rng = np.random.default_rng(4)
    failed = 0
    for number in range(40):
        data = bytearray(whole)
        for place in rng.integers(4, 1200, 3):
            data[place] = rng.integers(0, 256)
        try:
            picture = decoded(
                tmp_path, bytes(data), max_pixels=1_000_000, raw_preview=number % 2 == 0
            )
        except PictureError:
            failed += 1
        else:
            assert picture.mode in ("RGB", "L")
    assert 0 < failed < 40


def test_raw_file_with_too_many_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError) as caught:
        decoded(tmp_path, dng(), max_pixels=SIZE[0] * SIZE[1] - 1)
    assert caught.value.failure.kind == "too-large"


def test_without_the_extra_the_message_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "installed", lambda extra: False)
    with pytest.raises(PictureError, match=r"imgbatch\[raw\]") as caught:
        decoded(tmp_path, dng())
    assert caught.value.failure.kind == "no-codec"


# Where makers have their tags


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return (8 + len(data)).to_bytes(4) + kind + data


def canon(block: bytes) -> bytes:
    """The boxes of a CR3: each directory is a block of its own."""
    found = tiff.read(BytesIO(block))
    parts = [tiff.Directory(found.order, found.fields)]
    parts += [found.below[tag] for tag in (tiff.EXIF_IFD, tiff.GPS_IFD)]
    first, exif, gps = map(tiff.block, parts)
    own = box(b"uuid", bytes(16), box(b"CMT1", first), box(b"CMT2", exif), box(b"CMT4", gps))
    # What looks like a box, but is not in its place, is none.
    return box(b"ftyp", b"crx CMT1") + box(b"free", box(b"CMT1", b"nothing")) + box(b"moov", own)


def fujifilm(block: bytes) -> bytes:
    preview = pictures.saved(pictures.scene(16, 16), "JPEG", exif=b"Exif\0\0" + block)
    return (
        b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + (92).to_bytes(4) + len(preview).to_bytes(4) + preview
    )


@pytest.mark.parametrize(
    "form",
    [
        bytes,
        canon,
        fujifilm,
        lambda block: b"IIRO" + block[4:],
        lambda block: b"IIU\0" + block[4:],
    ],
    ids=["TIFF", "Canon", "Fujifilm", "Olympus", "Panasonic"],
)
def test_metadata_are_found_where_makers_have_them(form: Callable[[bytes], bytes]) -> None:
    from imgbatch.imaging.codecs import raw

    file = BytesIO(form(pictures.exif_block().block))
    file.seek(5)
    block = raw.metadata(file)
    assert block is not None
    exif = Exif(block)
    assert exif.text(0x0110) == pictures.MODEL
    assert exif.text(0x9003) == pictures.TAKEN
    assert pictures.traces_of_position(block) == ["EXIF latitude", "EXIF longitude"]
    assert file.tell() == 5


@pytest.mark.parametrize("data", [b"", b"II*\0", b"\0\0\0\x18ftypcrx ", b"FUJIFILMCCD-RAW"])
def test_files_without_tags_have_no_metadata(data: bytes) -> None:
    from imgbatch.imaging.codecs import raw

    assert raw.metadata(BytesIO(data)) is None
