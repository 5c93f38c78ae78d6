"""--dpi: the resolution is written into every format that holds one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image
from toolkit import pictures
from toolkit.commands import imgbatch as command
from toolkit.exiftool import exiftool
from toolkit.pictures import opened, saved, scene

import imgbatch
from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.imaging.decode import decode
from imgbatch.imaging.metadata import xmp
from imgbatch.model import METADATA_POLICIES
from imgbatch.recipes.recipe import Recipe
from imgbatch.recipes.toml import load, save

HOLDING: Final = ("jpeg", "png", "webp", "avif", "heif", "jxl", "tiff", "bmp", "jpeg2000")
OTHERS: Final = ("gif", "ppm", "qoi", "ico", "tga")
BY_PILLOW: Final = ("jpeg", "png", "tiff", "bmp")
"""Formats with their own field, which Pillow reads without EXIF."""
PER_METRE: Final = 300 / 0.0254

to_each: Final = pytest.mark.parametrize("name", HOLDING)
policies: Final = pytest.mark.parametrize("policy", METADATA_POLICIES)


def photo(dpi: int | None = 72) -> bytes:
    """A JPEG whose EXIF and JFIF headers have a resolution."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    if dpi:
        exif[0x011A] = exif[0x011B] = dpi
        exif[0x0128] = 2
    return saved(scene(), "JPEG", exif=exif, **({"dpi": (dpi, dpi)} if dpi else {}))


def made(folder: Path, data: bytes, suffix: str = ".jpg", **words: Any) -> tuple[Path, list[str]]:
    """The single output of a picture, and the kinds of its warnings."""
    (folder / "in").mkdir(exist_ok=True)
    (folder / f"in/a{suffix}").write_bytes(data)
    recipe = Recipe.from_options(**words)
    (result,) = imgbatch.run(recipe, [folder / "in"], output=folder / "out", jobs=1, force=True)
    assert result.failure is None, result.failure
    return Path(result.written[0].path), [notice.kind for notice in result.notices]


def dpi_of(path: Path) -> tuple[float, float] | None:
    """What imgbatch itself reads."""
    return decode(str(path), lambda size: size).metadata.dpi


def test_format_has_the_setting_if_it_can_hold_a_resolution() -> None:
    assert {row.name for row in formats.FORMATS if "dpi" in row.settings} == set(HOLDING)


@policies
@pytest.mark.parametrize("name", BY_PILLOW)
@pytest.mark.parametrize("dpi", [1, 300, 2400])
def test_pillow_reads_the_resolution_where_the_format_has_one(
    tmp_path: Path, name: str, policy: str, dpi: int
) -> None:
    path, notices = made(tmp_path, photo(), format=name, dpi=dpi, metadata=policy)
    # Whole pixels per metre.
    assert opened(path.read_bytes()).info["dpi"] == pytest.approx((dpi, dpi), abs=0.013)
    assert notices == ([] if name != "bmp" or policy in ("none", "copyright") else notices)


@policies
@pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "heif", "tiff"])
def test_exif_never_disagrees(tmp_path: Path, name: str, policy: str) -> None:
    path, _ = made(tmp_path, photo(), format=name, dpi=300, metadata=policy)
    told = opened(path.read_bytes()).getexif()
    if name != "jpeg" or policy not in ("copyright", "none"):
        assert (told[0x011A], told[0x011B], told[0x0128]) == (300, 300, 2)
    else:
        assert 0x011A not in told
    assert (0x010F in told) == (policy not in ("copyright", "none"))


@pytest.mark.external("exiftool")
@pytest.mark.slow
@policies
def test_exiftool_reads_the_resolution_from_every_format(tmp_path: Path, policy: str) -> None:
    paths = []
    for name in HOLDING:
        (tmp_path / name).mkdir()
        path, _ = made(tmp_path / name, photo(), format=name, dpi=300, metadata=policy)
        paths.append(path)
    # In one call: its start takes longer than all the files.
    read = json.loads(exiftool("-j", "-n", "-G0:1", "-a", *paths))
    for name, told in zip(HOLDING, read, strict=True):
        numbers = {
            key.rpartition(":")[2]: value
            for key, value in told.items()
            if "Resolution" in key or "PixelsPer" in key
        }
        across = {v for key, v in numbers.items() if key in ("XResolution", "YResolution")}
        metric = {
            v for key, v in numbers.items() if key.startswith("PixelsPer") and "Units" not in key
        }
        assert Path(told["SourceFile"]).parents[1].name == name
        assert across <= {300}, name
        assert metric <= {round(PER_METRE)}, name
        assert across or metric, told


@to_each
def test_written_resolution_is_read_back(tmp_path: Path, name: str) -> None:
    path, _ = made(tmp_path, photo(None), format=name, dpi=240, metadata="none")
    assert dpi_of(path) == pytest.approx((240, 240), abs=0.013)


@pytest.mark.parametrize("name", ["png", "tiff", "heif"])
def test_pictures_of_16_bits_get_a_resolution_too(tmp_path: Path, name: str) -> None:
    pytest.importorskip("imagecodecs")
    import tifffile

    file = BytesIO()
    tifffile.imwrite(file, np.full((8, 8, 3), 40_000, np.uint16), photometric="rgb")
    path, notices = made(tmp_path, file.getvalue(), ".tif", format=name, dpi=300)
    assert set(notices) <= {"depth-reduced"}
    assert dpi_of(path) == pytest.approx((300, 300), abs=0.013)


def test_xmp_resolution_is_updated(tmp_path: Path) -> None:
    packet = pictures.xmp_packet(orientation=None)
    told = packet.replace(b"<rdf:Description ", b"<rdf:Description " + RESOLUTION, 1)
    assert told != packet
    data = saved(scene(), "JPEG", xmp=told)
    for name in ("jpeg", "webp", "png"):
        path, _ = made(tmp_path, data, format=name, dpi=300)
        kept = opened(path.read_bytes()).info["xmp"]
        assert b"tiff:XResolution='300/1'" in kept.replace(b'"', b"'")
        assert b"720000" not in kept


RESOLUTION: Final = b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:XResolution="720000/10000" '


@pytest.mark.parametrize("name", OTHERS)
def test_format_without_a_resolution_is_refused(name: str) -> None:
    label = formats.BY_NAME[name].label
    with pytest.raises(UsageError, match=f"^{label} has no dpi setting: omit --dpi$"):
        Recipe.from_options(format=name, dpi=300)


@pytest.mark.parametrize("dpi", [0, -1, 65_536])
def test_unstorable_resolution_is_refused(dpi: int) -> None:
    with pytest.raises(UsageError, match=f"^found dpi {dpi}, expected 1 to 65535$"):
        Recipe.from_options(dpi=dpi)


def test_changing_the_resolution_prevents_a_copy(tmp_path: Path) -> None:
    data = photo()
    assert made(tmp_path, data)[0].read_bytes() == data
    for keep_smaller in (False, True):
        path, _ = made(tmp_path, data, dpi=300, keep_smaller=keep_smaller)
        assert dpi_of(path) == (300, 300)
        assert np.abs(pixels(path.read_bytes()) - pixels(data)).mean() < 1


def test_kept_format_without_a_resolution_is_still_copied(tmp_path: Path) -> None:
    data = saved(scene(), "GIF")
    assert made(tmp_path, data, ".gif", dpi=300)[0].read_bytes() == data


def pixels(data: bytes) -> Any:
    return np.asarray(opened(data).convert("RGB")).astype(int)


def recipes(folder: Path) -> Iterator[Recipe]:
    """The same setting, given in every possible way."""
    (folder / "x.toml").write_text('[[output]]\nformat = "jpeg"\nsize = "40"\ndpi = 300\n')
    yield load(folder / "x.toml")
    save(Recipe.from_options("x", sizes=["40"], format="jpeg", dpi=300), folder / "saved.toml")
    yield load(folder / "saved.toml")


def test_recipes_accept_and_save_the_setting(tmp_path: Path) -> None:
    one, saved_one = recipes(tmp_path)
    assert one.outputs == saved_one.outputs
    assert one.outputs[0].encoding.dpi == 300
    assert "dpi = 300," in (tmp_path / "saved.toml").read_text()
    assert one.digest != Recipe.from_options("x", sizes=["40"], format="jpeg").digest


def test_other_resolution_makes_the_command_run_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(photo())
    for dpi, done in (("300", "1 done"), ("300", "1 up to date"), ("150", "1 done")):
        run = command("resize", "in", "-o", "out", "-s", "40", "--dpi", dpi, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        assert done in run.stderr.decode()
        assert dpi_of(tmp_path / "out/a.jpg") == (int(dpi), int(dpi))


BEFORE: Final = (
    b"<a tiff:XResolution='72/1' tiff:YResolution = \"72\"><tiff:ResolutionUnit>3</tiff:x>"
)
AFTER: Final = (
    b"<a tiff:XResolution='300/1' tiff:YResolution = \"300/1\"><tiff:ResolutionUnit>2</tiff:x>"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BEFORE, AFTER),
        (b"<tiff:YResolution>7200/100</tiff:x>", b"<tiff:YResolution>300/1</tiff:x>"),
        (b"tiff:ImageWidth='72' xtiff:XResolution='72'", None),
        (b"my:XResolution='72' tiff:XResolution='fine'", None),
        (None, None),
    ],
)
def test_xmp_resolution_is_replaced_only_if_present(
    before: bytes | None, after: bytes | None
) -> None:
    assert xmp.with_resolution(before, 300) == (after or before)
