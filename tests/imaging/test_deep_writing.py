"""Colours of 16 bits a channel are written whole, and survive the whole program."""

from __future__ import annotations

import json
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures, programs
from toolkit.decoding import decoded
from toolkit.deep import (
    CHANNELS,
    HEIGHT,
    WIDTH,
    array_of,
    deep_files,
    levels,
    png,
    tiff,
)
from toolkit.exiftool import exiftool

import imgbatch
from imgbatch.imaging.deep import Deep, rounded_to_8_bit
from imgbatch.imaging.encode import encode
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.imaging.picture import Metadata, Picture
from imgbatch.model import Encoding

Levels = NDArray[np.uint16]


# Writing


def full_metadata() -> Metadata:
    return Metadata(
        exif=Exif(pictures.exif_block(orientation=1, size=(WIDTH, HEIGHT)).block),
        xmp=pictures.xmp_packet(),
        iptc=pictures.iptc_records(),
        dpi=(240.0, 240.0),
        comment="A comment",
        texts=(("Title", "Lake"),),
    )


def deep_picture(mode: str = "RGB;16", *, icc: bytes | None = None) -> Picture:
    pixels = Deep(levels(CHANNELS[mode]))
    whole = (0, 0, *pixels.size)
    return Picture(pixels, "png", pixels.size, whole, icc=icc, metadata=full_metadata())


def read_by_imagemagick(path: Path, mode: str) -> Levels:
    """The samples of an image as 16 bits; grey comes as three equal channels."""
    kind = "rgba" if "A" in mode else "rgb"
    options = ["-depth", "16", "-endian", "LSB", f"{kind}:-"]
    command = [programs.path_of("imagemagick"), f"{path}[0]", *options]
    run = subprocess.run(command, capture_output=True, check=True, timeout=300)
    array = np.frombuffer(run.stdout, "<u2").reshape(HEIGHT, WIDTH, len(kind))
    return array[..., [0, -1]] if mode == "LA;16" else array


@pytest.mark.slow
@pytest.mark.external("imagemagick")
@pytest.mark.parametrize("mode", CHANNELS)
@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("png", {}),
        ("png", {"effort": 1}),
        *(("tiff", {"compression": one}) for one in ("none", "packbits", "lzw", "deflate")),
    ],
)
def test_every_bit_is_written(
    tmp_path: Path, target: str, options: dict[str, Any], mode: str
) -> None:
    picture = deep_picture(mode)
    encoded = encode(picture, Encoding(target, **options))
    assert (encoded.notices, encoded.size) == ((), (WIDTH, HEIGHT)) or target == "tiff"
    path = tmp_path / f"out.{target}"
    path.write_bytes(encoded.data)
    np.testing.assert_array_equal(read_by_imagemagick(path, mode), levels(CHANNELS[mode]))


def test_zstd_is_written_and_read(tmp_path: Path) -> None:
    encoded = encode(deep_picture(), Encoding("tiff", compression="zstd"))
    np.testing.assert_array_equal(array_of(decoded(tmp_path, encoded.data, ".tif")), levels(3))


def test_compression_makes_the_file_smaller() -> None:
    sizes = {
        compression: len(encode(deep_picture(), Encoding("tiff", compression=compression)).data)
        for compression in ("none", "lzw", "deflate", "zstd")
    }
    assert sizes["none"] > WIDTH * HEIGHT * 6
    assert max(sizes["lzw"], sizes["deflate"], sizes["zstd"]) < sizes["none"]
    png_sizes = {
        n: len(encode(deep_picture(), Encoding("png", effort=n, metadata="none")).data)
        for n in (1, 9)
    }
    assert png_sizes[9] <= png_sizes[1] < WIDTH * HEIGHT * 6


def exif_tags(path: Path) -> dict[str, Any]:
    """What exiftool reads from a file, without what has to differ between 8 and 16 bits."""
    (tags,) = json.loads(exiftool("-j", "-G1", "-n", "-b", path))
    other = ("System:", "ExifTool:", "SourceFile")
    layout = {"BitDepth", "BitsPerSample", "StripOffsets", "StripByteCounts", "RowsPerStrip"}
    layout |= {"Predictor", "SampleFormat", "PlanarConfiguration", "SubfileType", "ExtraSamples"}
    return {
        key: value
        for key, value in tags.items()
        if not key.startswith(other) and key.split(":")[-1] not in layout
    }


@pytest.mark.slow
@pytest.mark.external("exiftool")
@pytest.mark.parametrize("target", ["png", "tiff"])
def test_metadata_are_written_as_with_8_bits(tmp_path: Path, target: str) -> None:
    icc = pictures.wide_gamut_profile()
    deep = deep_picture("RGBA;16", icc=icc)
    assert deep.deep is not None
    plain = deep.with_pixels(deep.deep.to_8_bit())
    found = []
    for name, picture in (("deep", deep), ("plain", plain)):
        encoded = encode(picture, Encoding(target))
        path = tmp_path / f"{name}.{target}"
        path.write_bytes(encoded.data)
        found.append((exif_tags(path), {notice.kind for notice in encoded.notices}))
    assert found[0] == found[1]
    tags = found[0][0]
    assert tags["IFD0:Model"] == pictures.MODEL
    assert any(key.startswith("XMP-dc:") for key in tags)
    with Image.open(tmp_path / f"deep.{target}") as image:
        assert image.info["icc_profile"] == icc
        assert image.info["dpi"] == pytest.approx((240, 240), abs=0.01)


@pytest.mark.parametrize("target", ["jpeg", "webp", "avif", "bmp", "gif", "jpeg2000", "heif"])
def test_format_of_fewer_bits_rounds_with_a_warning(target: str) -> None:
    encoded = encode(deep_picture(), Encoding(target, metadata="none"))
    assert [notice.kind for notice in encoded.notices] == ["depth-reduced"]


def test_reduction_to_8_bits_rounds_and_keeps_white() -> None:
    every = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(rounded_to_8_bit(every), np.rint(every / 257))
    bmp = encode(deep_picture(), Encoding("bmp", metadata="none")).data
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(bmp))), np.rint(levels(3) / 257))


def test_jpeg_in_a_tiff_has_8_bits() -> None:
    encoded = encode(deep_picture(), Encoding("tiff", compression="jpeg"))
    assert "depth-reduced" in [notice.kind for notice in encoded.notices]
    assert Image.open(BytesIO(encoded.data)).info["compression"] == "jpeg"


def test_without_the_extra_16_bits_are_not_written(no_extra: None) -> None:
    encoded = encode(deep_picture(), Encoding("png", metadata="none"))
    assert [notice.kind for notice in encoded.notices] == ["depth-reduced"]
    assert "imgbatch[deep]" in encoded.notices[0].message
    image = Image.open(BytesIO(encoded.data))
    np.testing.assert_array_equal(np.asarray(image), np.rint(levels(3) / 257))


# Through the whole program


def run(folder: Path, data: bytes, suffix: str, **options: Any) -> tuple[Path, list[str]]:
    photos = folder / "photos"
    photos.mkdir()
    (photos / f"photo{suffix}").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(**options)
    (result,) = imgbatch.run(recipe, [photos], output=folder / "out", jobs=1)
    assert result.failure is None, result.failure
    return Path(result.written[0].path), [notice.kind for notice in result.notices]


@pytest.mark.slow
@pytest.mark.external("imagemagick")
@pytest.mark.parametrize(("suffix", "target"), [(".png", "tiff"), (".tif", "png"), (".ppm", "png")])
def test_halving_averages_in_16_bits(tmp_path: Path, suffix: str, target: str) -> None:
    array = levels(3, 2 * WIDTH, 2 * HEIGHT)
    head = f"P6 {2 * WIDTH} {2 * HEIGHT} 65535\n".encode()
    data = {
        ".png": png(array),
        ".tif": tiff(array, compression="lzw"),
        ".ppm": head + array.astype(">u2").tobytes(),
    }[suffix]
    path, warned = run(tmp_path, data, suffix, sizes=[f"{WIDTH}"], kernel="box", format=target)
    assert warned == []
    mean = array.astype(np.float64).reshape(HEIGHT, 2, WIDTH, 2, 3).mean(axis=(1, 3))
    # The average of four is rounded twice, horizontally and vertically.
    assert np.abs(read_by_imagemagick(path, "RGB;16") - mean).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_unchanged_file_of_16_bits_is_copied(tmp_path: Path, suffix: str) -> None:
    data = deep_files()[suffix]
    path, warned = run(tmp_path, data, suffix)
    assert warned == []
    assert path.read_bytes() == data


def test_all_pages_of_16_bits_are_kept(tmp_path: Path) -> None:
    pages = [levels(channels) for channels in (3, 4, 3)]
    file = BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in pages:
            extra = ["unassalpha"] if page.shape[2] == 4 else None
            writer.write(page, photometric="rgb", extrasamples=extra, metadata=None)
    path, warned = run(tmp_path, file.getvalue(), ".tif", compression="lzw")
    assert warned == []
    assert path.read_bytes() != file.getvalue()
    with tifffile.TiffFile(path) as written:
        assert len(written.pages) == 3
        for number, page in enumerate(pages):
            np.testing.assert_array_equal(written.asarray(key=number), page)


def test_grey_keeps_16_bits_where_the_output_can_hold_them(tmp_path: Path) -> None:
    array = levels(1, 2 * WIDTH, 2 * HEIGHT)
    path, warned = run(tmp_path, png(array), ".png", sizes=[f"{WIDTH}"], kernel="box")
    assert warned == []
    mean = array.astype(np.float64).reshape(HEIGHT, 2, WIDTH, 2).mean(axis=(1, 3))
    assert np.abs(np.asarray(Image.open(path)) - mean).max() <= 1
