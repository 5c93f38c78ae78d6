"""Memory for pictures: estimates are never below the peak, and not far above it."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from toolkit import pictures
from toolkit.commands import tool
from toolkit.pictures import saved

from imgbatch.imaging import formats, memory, resample
from imgbatch.imaging.decode import Demand, decode
from imgbatch.imaging.picture import Picture
from imgbatch.model import Encoding, Size
from imgbatch.operations import Operation, names
from imgbatch.operations.geometry import Resize, SizeSpec
from imgbatch.recipes.recipe import Output, Recipe

AROUND: Final = 4_000_000
SIZE: Final = (600, 400)
PIXELS: Final = SIZE[0] * SIZE[1]


def demand(folder: Path, data: bytes, name: str = "photo", scale: int = 1) -> Demand:
    (folder / name).write_bytes(data)
    asked: list[Demand] = []
    decode(
        str(folder / name), lambda size: (size[0] // scale, size[1] // scale), admit=asked.append
    )
    return asked[0]


def per_pixel(folder: Path, data: bytes, name: str = "photo", scale: int = 1) -> float:
    """Bytes estimated for each pixel of the file, without the constant part."""
    return (demand(folder, data, name, scale).bytes - AROUND) / PIXELS / 1.05


def scene() -> Image.Image:
    return Image.fromarray(pictures.scene(*SIZE))


# Measured


DECODING: Final = (
    *("jpeg 1/", "jpeg progressive", "png RGB keyed", "png I;16 keyed", "webp loss", "avif gr"),
    *("tiff lzw one", "tiff F", "tiff turned", "gif", "ico", "ppm 16", "deep png RGB"),
    *("deep tiff turned", "deep tiff 32", "deep ppm", "heic RGB", "jxl RGB", "raw 1/"),
    *("raw linear", "inks with alpha", "tiff Lab"),
)
OPERATIONS: Final = (
    *("sharpen", "sepia RGBA", "half", "flip", "double", "padded", "four sizes", "to sRGB"),
)
ENCODING: Final = (
    *("to jpeg ", "to png ", "to webp ", "to jxl L", "to jxl RGBA;16"),
    *("to tiff RGB", "to tiff LA;16"),
)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measured on Linux alone")
@pytest.mark.parametrize(
    "words", [DECODING, OPERATIONS, ENCODING], ids=["decoding", "operations", "encoding"]
)
def test_estimate_is_one_to_two_and_a_half_times_the_peak(words: tuple[str, ...]) -> None:
    """The script's exit code says so; what is out of bounds is printed line by line."""
    # Many in one process, since loading everything takes longer than most measurements.
    done = tool("tools.measure_memory", "1", *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    for word in words:
        assert any(word in line for line in lines), word
    for line in lines:
        peak, estimate = map(float, line.split()[-4:-2])
        assert peak <= estimate, line


# Decoding, from the header


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_baseline_jpeg_takes_its_decoded_part_and_the_file(tmp_path: Path, scale: int) -> None:
    data = saved(scene(), "JPEG")
    expected = 4 / scale**2 + len(data) / PIXELS
    assert per_pixel(tmp_path, data, scale=scale) == pytest.approx(expected, 0.01)


# At least half as much again as requested is left of the size.
@pytest.mark.parametrize(("scale", "given"), [(1, 1), (8, 4)])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_progressive_jpeg_takes_its_full_size_at_any_scale(
    tmp_path: Path, scale: int, given: int, subsampling: int
) -> None:
    data = saved(scene(), "JPEG", progressive=True, subsampling=subsampling)
    least = 4 / given**2 + (6, 4, 3)[subsampling]
    assert least < per_pixel(tmp_path, data, scale=scale) < 2.5 * least


@pytest.mark.parametrize("fill", [b"", b"\xff", b"\xff\xff\xff"])
def test_jpeg_in_several_scans_counts_as_progressive(tmp_path: Path, fill: bytes) -> None:
    """A baseline JPEG may have a scan for each component, too."""
    data = saved(scene(), "JPEG", subsampling=0)
    at = data.index(b"\xff\xda")
    alone = struct.pack(">HHBBBBBB", 0xFFDA, 8, 1, 1, 0, 0, 63, 0)
    in_scans = data[:at] + fill + alone + data[at + 14 :]
    (tmp_path / "photo").write_bytes(in_scans)
    asked: list[Demand] = []

    def look(demand: Demand) -> None:
        asked.append(demand)
        raise EOFError

    # The other scans are missing.
    with pytest.raises(EOFError):
        decode(str(tmp_path / "photo"), lambda size: size, admit=look)
    assert (asked[0].bytes - AROUND) / PIXELS / 1.05 > 10
    assert per_pixel(tmp_path, data[:at] + fill + data[at:]) < 4 + 2 * len(data) / PIXELS


@pytest.mark.parametrize(
    ("mode", "options", "least"),
    [
        ("1", {}, 2),
        ("L", {}, 1),
        ("L", {"transparency": 9}, 5),
        ("LA", {}, 4),
        ("P", {}, 5),
        ("RGB", {}, 4),
        ("RGB", {"transparency": (1, 2, 3)}, 8),
        ("RGBA", {}, 4),
        ("I;16", {}, 2),
        ("I;16", {"transparency": 257}, 16),
    ],
)
def test_mode_change_is_counted(
    tmp_path: Path, mode: str, options: dict[str, Any], least: int
) -> None:
    data = saved(Image.new(mode, SIZE), "PNG", **options)
    assert least <= per_pixel(tmp_path, data) < 1.1 * least + 0.1


def test_grey_with_a_profile_is_counted_as_what_it_may_become(tmp_path: Path) -> None:
    data = saved(scene().convert("L"), "PNG", icc_profile=pictures.wide_gamut_profile())
    assert 5 < per_pixel(tmp_path, data) < 7


# What is held at once, by the format's declaration: see `Format.decoding`.
LEAST: Final[tuple[tuple[str, str, dict[str, Any], float], ...]] = (
    ("WEBP", "RGB", {"lossless": True}, 16),
    ("AVIF", "RGB", {"subsampling": "4:2:0"}, 9.2),
    ("AVIF", "RGB", {"subsampling": "4:4:4"}, 10.7),
    ("AVIF", "L", {"subsampling": "4:0:0"}, 3.7),
    ("AVIF", "RGBA", {"subsampling": "4:2:0"}, 11.9),
    ("JPEG2000", "RGB", {}, 22),
    ("QOI", "RGB", {}, 7.4),
    ("TIFF", "RGB", {}, 4),
    ("TIFF", "RGB", {"compression": "tiff_lzw", "strip_size": SIZE[0] * 3 * 40}, 4.4),
    ("TIFF", "RGB", {"compression": "tiff_lzw", "strip_size": SIZE[0] * 3 * 400}, 8),
    ("TIFF", "F", {}, 28),
)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "mode", "options", "least"), LEAST)
def test_decoder_memory_is_counted(
    tmp_path: Path, kind: str, mode: str, options: dict[str, Any], least: float
) -> None:
    image = scene().convert(mode)
    if mode == "RGBA":
        # Opaque pictures would be written without alpha.
        image.putalpha(image.getchannel("G"))
    data = saved(image, kind, **options)
    taken = least + len(data) / PIXELS
    assert 0.999 * taken < per_pixel(tmp_path, data) < 2.5 * taken


def test_rotated_tiff_is_held_twice(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = per_pixel(tmp_path, saved(scene(), "TIFF", exif=exif))
    assert turned - per_pixel(tmp_path, saved(scene(), "TIFF")) == pytest.approx(4, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "JPEG2000", "QOI"])
def test_estimating_does_not_move_the_file_position(tmp_path: Path, source: str) -> None:
    path = tmp_path / "photo"
    path.write_bytes(saved(scene().reduce(10), source))
    codec = formats.codec(formats.BY_NAME[source.lower()])
    with path.open("rb") as file:
        image = Image.open(file)
        for place in (0, 17, 1_000):
            file.seek(place)
            memory.decoding(image, codec, image.size, file)
            assert file.tell() == place


# Operations and encoding


FULL: Final = (6000, 4000)
HALF: Final = (3000, 2000)


def bytes_of(size: Size, per_pixel: float) -> int:
    return int(size[0] * size[1] * per_pixel)


def test_every_figure_is_plausible() -> None:
    for row in formats.FORMATS:
        assert 0 < row.encoding[0] <= row.encoding[1] < 160
        assert 0 <= row.decoding <= 6
    for operation in names().values():
        assert 4 < operation.memory < 15


def test_without_a_resize_everything_is_at_full_size() -> None:
    recipe = Recipe.from_options(filters=["sharpen"], format="jpeg")
    figure = names()["sharpen"].memory
    assert recipe.working_bytes(FULL, FULL, mode="RGB") == bytes_of(FULL, 4 + figure) + AROUND
    # A rotated picture of 16 bits a channel in colour takes twice as much.
    deep = recipe.working_bytes(FULL, FULL)
    assert deep >= bytes_of(FULL, 8 + figure + 8)
    inks = recipe.working_bytes(FULL, FULL, mode="CMYK")
    assert inks == bytes_of(FULL, 4 + figure + 8) + AROUND
    grey = recipe.working_bytes(FULL, FULL, mode="L")
    assert grey == pytest.approx(bytes_of(FULL, 1 + figure * 2 / 3) + AROUND)


def test_after_a_resize_everything_is_at_the_new_size() -> None:
    recipe = Recipe.from_options(sizes=["600"], filters=["sharpen"], format="avif")
    made = (600, 400)
    encoding = bytes_of(made, 8 + formats.BY_NAME["avif"].encoding[0])
    encoding += Resize(SizeSpec.parse("600")).kept_bytes(HALF, made, mode="RGB")
    assert recipe.working_bytes(FULL, HALF, mode="RGB") == encoding + AROUND
    assert encoding < bytes_of(FULL, 1)


def test_memory_of_a_24_megapixel_photo() -> None:
    """Two are made at once in 1 GB, by processes of 60 MB each: so many workers have it."""
    recipes: list[dict[str, Any]] = [{}, {"sizes": ["5000"]}]
    recipes += [{"filters": [word]} for word in ("sharpen", "sepia", "rotate", "border")]
    for words in recipes:
        taken = Recipe.from_options(format="jpeg", **words).working_bytes(FULL, FULL, mode="RGB")
        assert bytes_of(FULL, 4) < taken < 500_000_000 - 60_000_000 - bytes_of(FULL, 4)
    resized = Recipe.from_options(sizes=["1600"]).working_bytes(FULL, HALF, "jpeg", mode="RGB")
    assert resized < 40_000_000


def test_kept_format_is_that_of_the_source() -> None:
    recipe = Recipe.from_options()
    taken = {
        row.name: recipe.working_bytes(FULL, FULL, row.name, mode="RGB") for row in formats.FORMATS
    }
    assert taken["jpeg"] < taken["avif"] < taken["jpeg2000"]
    assert recipe.working_bytes(FULL, FULL, mode="RGB") == max(taken.values())
    for name in formats.WRITABLE:
        value = taken[name]
        given = Recipe.from_options(format=name)
        assert given.working_bytes(FULL, FULL, "jpeg", mode="RGB") == value


def test_most_demanding_output_and_the_finished_files_are_counted() -> None:
    def taken(*sizes: str) -> int:
        recipe = Recipe.from_options(sizes=sizes, format="avif")
        return recipe.working_bytes(FULL, FULL, mode="RGB")

    assert taken("300") < taken("3000")
    # The larger one is made first, whatever the order.
    assert taken("3000", "300") == taken("3000") == taken("300", "3000")
    assert taken("a=3000", "b=3000") == taken("3000") + bytes_of((3000, 2000), 4)


def test_resampler_buffers_are_counted_to_the_end() -> None:
    made = (1500, 1000)
    kept = Resize(SizeSpec.parse("1500")).kept_bytes(HALF, made, mode="RGB")
    assert kept == 4 * 3000 * 1000
    one, two = (
        Recipe.from_options(sizes=sizes, format="avif").working_bytes(HALF, HALF, mode="RGB")
        for sizes in (["1500"], ["a=1500", "b=1500"])
    )
    assert one == kept + bytes_of(made, 4 + formats.BY_NAME["avif"].encoding[0]) + AROUND
    # The second resize works in the same buffers.
    assert two == one + bytes_of(made, 4)
    smart = names()["smart-crop"]()
    assert smart.kept_bytes(HALF, made, mode="RGB") == 0
    assert smart.kept_bytes(HALF, made, mode="RGBA") == 4 * 3000 * 2000


# Prepared operations, those of an output, and how many pictures exist beside the decoded one while
# the last of them runs: its input, the prepared picture, and that of the first step.
NEEDED: Final = ((0, 1, 1), (0, 2, 1), (0, 3, 2), (1, 1, 1), (1, 2, 2), (1, 3, 3))


def test_pictures_needed_later_are_counted_meanwhile() -> None:
    """The first step's picture is kept until the last one is done, the prepared one to the end."""

    class Large(Operation):
        name = "large"
        memory = 50.0

        def apply(self, picture: Picture) -> Picture:
            return picture

    def working(before: int, after: int, **words: Any) -> int:
        template = Recipe.from_options().outputs[0].template
        output = Output("x", template, (Large(),) * after, Encoding("bmp"))
        return Recipe("x", (output,), (Large(),) * before).working_bytes(FULL, FULL, **words)

    for before, after, others in NEEDED:
        for each, mode, taken in ((4, "RGB", 50), (8, "RGBA;16", 58), (4, "RGBA", 58)):
            expected = bytes_of(FULL, each * others + taken) + AROUND
            assert working(before, after, mode=mode) == expected, (before, after, mode)


def test_resizing_takes_more_with_alpha_and_with_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = (3000, 2000), (1500, 1000)
    lanczos, mitchell = (Resize(SizeSpec.parse("1500"), kernel=k) for k in ("lanczos", "mitchell"))
    plain = lanczos.working_bytes(before, after, mode="RGB")
    assert plain < lanczos.working_bytes(before, after, mode="RGBA")
    assert lanczos.working_bytes(before, after, mode="L") == plain // 4
    assert plain < replace(lanczos, linear=True).working_bytes(before, after, mode="RGB")
    monkeypatch.setattr(resample, "resize_simd", None)
    assert lanczos.working_bytes(before, after, mode="RGB") == plain
    assert mitchell.working_bytes(before, after, mode="RGB") > 48 * 3000 * 1500


def test_operation_without_a_figure_is_assumed_to_need_much() -> None:
    assert Operation.memory >= max(12, names()["sharpen"].memory)
