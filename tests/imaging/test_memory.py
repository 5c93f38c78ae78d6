"""What pictures take in memory: estimates are never below the peak, and not far above."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image
from toolkit import pictures
from toolkit.commands import tool
from toolkit.pictures import saved

from imgbatch.imaging import formats, memory, resample
from imgbatch.imaging.decode import Demand, decode
from imgbatch.imaging.formats import PerPixel
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
    """Bytes that are estimated for each pixel of the file, without the constant part."""
    return (demand(folder, data, name, scale).bytes - AROUND) / PIXELS / 1.05


def scene() -> Image.Image:
    return Image.fromarray(pictures.scene(*SIZE))


# Measured


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measured on Linux alone")
@pytest.mark.parametrize(
    "words",
    [
        ("jpeg 1/", "jpeg progressive", "png P", "png I;16 keyed", "webp loss", "avif 4:4:4"),
        ("tiff lzw", "tiff F", "tiff turned", "gif", "ico", "ppm 16"),
        ("deep png RGB", "deep tiff", "deep ppm", "deep heic", "heic RGB", "raw"),
        ("sharpen", "sepia RGB", "blur RGBA", "half", "double", "mitchell", "padded"),
        ("to jpeg", "to png RGB", "to webp RGB", "to tiff RGB", "to avif RGB", "to sRGB"),
    ],
    ids=["decoding", "decoding more", "decoding deep", "operations", "encoding"],
)
def test_no_peak_is_higher_than_its_estimate(words: tuple[str, ...]) -> None:
    megapixels = 1.0
    done = tool("tools.measure_memory", str(megapixels), *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) >= len(words)
    for line in lines:
        kind, peak, estimate = line.split()[0], *map(float, line.split()[-4:-2])
        if kind == "decoding":
            assert estimate <= 1.5 * peak + 1.1 * AROUND / megapixels / 1e6, line


# Decoding, from the header


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_a_baseline_jpeg_takes_what_is_decoded_of_it(tmp_path: Path, scale: int) -> None:
    expected = 4 / scale**2
    assert per_pixel(tmp_path, saved(scene(), "JPEG"), scale=scale) == pytest.approx(expected, 0.01)


# What is left of the size is half as much again as is asked for, at least.
@pytest.mark.parametrize(("scale", "given"), [(1, 1), (8, 4)])
@pytest.mark.parametrize(("subsampling", "coefficients"), [(0, 6), (1, 4), (2, 3)])
def test_a_progressive_jpeg_takes_its_full_size_at_any_scale(
    tmp_path: Path, scale: int, given: int, subsampling: int, coefficients: int
) -> None:
    data = saved(scene(), "JPEG", progressive=True, subsampling=subsampling)
    expected = 4 / given**2 + coefficients
    assert per_pixel(tmp_path, data, scale=scale) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("fill", [b"", b"\xff", b"\xff\xff\xff"])
def test_a_jpeg_in_several_scans_is_like_a_progressive_one(tmp_path: Path, fill: bytes) -> None:
    """A baseline JPEG, too, may have a scan for each component."""
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
    assert (asked[0].bytes - AROUND) / PIXELS / 1.05 == pytest.approx(10, rel=0.01)
    assert per_pixel(tmp_path, data[:at] + fill + data[at:]) == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("length", [0, 1])
def test_a_segment_of_no_length_is_no_endless_loop(tmp_path: Path, length: int) -> None:
    path = tmp_path / "photo"
    path.write_bytes(b"\xff\xd8\xff\xe0" + struct.pack(">H", length) + bytes(20))
    with path.open("rb") as file:
        assert not memory._in_several_scans(file, 3)


def test_a_jpeg_of_grey_takes_a_quarter(tmp_path: Path) -> None:
    assert per_pixel(tmp_path, saved(scene().convert("L"), "JPEG")) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize(
    ("mode", "options", "expected"),
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
def test_a_change_of_mode_is_counted(
    tmp_path: Path, mode: str, options: dict[str, Any], expected: int
) -> None:
    data = saved(Image.new(mode, SIZE), "PNG", **options)
    assert per_pixel(tmp_path, data) == pytest.approx(expected, rel=0.01)


def test_grey_under_a_profile_for_colours_is_counted_as_what_it_becomes(tmp_path: Path) -> None:
    data = saved(scene().convert("L"), "PNG", icc_profile=pictures.wide_gamut_profile())
    assert per_pixel(tmp_path, data) == pytest.approx(5, rel=0.01)
    data = saved(scene().convert("L"), "PNG", icc_profile=pictures.grey_profile())
    assert per_pixel(tmp_path, data) == pytest.approx(1, rel=0.01)


def test_a_webp_takes_two_canvases_the_frame_the_pixels_and_the_file(tmp_path: Path) -> None:
    data = saved(scene(), "WEBP", lossless=True)
    assert per_pixel(tmp_path, data) == pytest.approx(16 + len(data) / PIXELS, rel=0.001)


@pytest.mark.parametrize(
    ("mode", "subsampling", "expected"),
    [
        ("RGB", "4:2:0", 1.5 + 0.7 + 3 + 4),
        ("RGB", "4:2:2", 2 + 0.7 + 3 + 4),
        ("RGB", "4:4:4", 3 + 0.7 + 3 + 4),
        ("L", "4:0:0", 1 + 0.7 + 1 + 1),
        ("RGBA", "4:2:0", 1.5 + 1 + 2 * 0.7 + 4 + 4),
    ],
)
def test_an_avif_takes_its_frames_the_pixels_twice_and_the_file(
    tmp_path: Path, mode: str, subsampling: str, expected: float
) -> None:
    image = scene().convert(mode)
    if mode == "RGBA":
        # What is opaque would be written without alpha.
        image.putalpha(image.getchannel("G"))
    data = saved(image, "AVIF", subsampling=subsampling, speed=10)
    assert per_pixel(tmp_path, data) == pytest.approx(expected + len(data) / PIXELS, rel=0.001)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(0x0C, 1.5), (0x08, 2), (0x00, 3), (0x1C, 1), (0x4C, 3), (0x40, 6), (0x60, 6), (0x5C, 2)],
)
def test_frames_of_avif_by_their_configuration(flags: int, expected: float) -> None:
    assert memory._coded(bytes([flags])) == expected


def test_an_avif_in_cells_has_its_frame_twice() -> None:
    image = Image.new("RGB", SIZE)
    head = b"av1C\x81\x00\x0c"
    one = memory._avif(image, SIZE, BytesIO(head + bytes(20)))
    cells = memory._avif(image, SIZE, BytesIO(head + b"infe....grid" + bytes(8)))
    assert cells - one == pytest.approx(1.5 * PIXELS)


@pytest.mark.parametrize("rows", [40, 400])
def test_a_packed_tiff_takes_the_file_and_one_strip(tmp_path: Path, rows: int) -> None:
    data = saved(scene(), "TIFF", compression="tiff_lzw", strip_size=SIZE[0] * 3 * rows)
    expected = 4 + len(data) / PIXELS + 4 * rows / SIZE[1]
    assert per_pixel(tmp_path, data) == pytest.approx(expected, rel=0.01)


def test_a_tiff_that_is_turned_is_there_twice(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert per_pixel(tmp_path, saved(scene(), "TIFF", exif=exif)) == pytest.approx(8, rel=0.01)
    assert per_pixel(tmp_path, saved(scene(), "TIFF")) == pytest.approx(4, rel=0.1)


def test_wide_numbers_take_arrays_of_float64(tmp_path: Path) -> None:
    values = np.zeros((SIZE[1], SIZE[0]), np.float32)
    assert per_pixel(tmp_path, saved(values, "TIFF")) == pytest.approx(28, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "JPEG2000", "QOI"])
def test_an_estimate_leaves_the_file_where_it_was(tmp_path: Path, source: str) -> None:
    path = tmp_path / "photo"
    path.write_bytes(saved(scene(), source))
    row = formats.BY_NAME[source.lower()]
    with path.open("rb") as file:
        image = Image.open(file)
        for place in (0, 17, 1_000):
            file.seek(place)
            memory.decoding(image, row, image.size, file)
            assert file.tell() == place


# Operations and encoding


FULL: Final = (6000, 4000)
HALF: Final = (3000, 2000)


def bytes_of(size: Size, per_pixel: float) -> int:
    return int(size[0] * size[1] * per_pixel)


def test_every_figure_is_in_order() -> None:
    for figure in (
        *(row.encoding for row in formats.FORMATS),
        *(operation.memory for operation in names().values()),
    ):
        assert 0 < figure.plain <= figure.other < 80


def test_without_a_resize_all_is_done_at_the_full_size() -> None:
    recipe = Recipe.from_options(filters=["sharpen"], format="jpeg")
    figure = names()["sharpen"].memory
    assert recipe.working_bytes(FULL, FULL, plain=True) == bytes_of(FULL, 4 + figure.plain)
    # Of 16 bits a channel in colour, a picture that is turned takes twice as much.
    assert recipe.working_bytes(FULL, FULL) == bytes_of(FULL, 8 + figure.other)
    assert recipe.working_bytes(FULL, FULL, pixel_bytes=4) == bytes_of(FULL, 4 + figure.other)


def test_after_a_resize_all_is_done_at_the_new_size() -> None:
    recipe = Recipe.from_options(sizes=["600"], filters=["sharpen"], format="avif")
    made = (600, 400)
    resizing = Resize(SizeSpec.parse("600")).working_bytes(HALF, made, plain=True)
    encoding = bytes_of(made, 4) + bytes_of(made, formats.BY_NAME["avif"].encoding.plain)
    encoding += Resize(SizeSpec.parse("600")).kept_bytes(HALF, made, plain=True)
    assert recipe.working_bytes(FULL, HALF, plain=True) == max(resizing, encoding)
    assert recipe.working_bytes(FULL, HALF, plain=True) < bytes_of(FULL, 1)


def test_a_format_that_is_kept_is_the_one_of_the_source() -> None:
    recipe = Recipe.from_options()
    taken = {
        row.name: recipe.working_bytes(FULL, FULL, row.name, plain=True) for row in formats.FORMATS
    }
    assert taken["jpeg"] < taken["avif"] < taken["jpeg2000"]
    assert recipe.working_bytes(FULL, FULL, plain=True) == max(taken.values())
    for name in formats.WRITABLE:
        value = taken[name]
        given = Recipe.from_options(format=name)
        assert given.working_bytes(FULL, FULL, "jpeg", plain=True) == value


def test_the_most_demanding_output_counts_and_the_files_that_wait_for_it() -> None:
    small = Recipe.from_options(sizes=["300"], format="avif").working_bytes(FULL, FULL, plain=True)
    large = Recipe.from_options(sizes=["3000"], format="avif").working_bytes(FULL, FULL, plain=True)
    both = Recipe.from_options(sizes=["3000", "300"], format="avif")
    turned_round = Recipe.from_options(sizes=["300", "3000"], format="avif")
    assert small < large
    assert both.working_bytes(FULL, FULL, plain=True) == large
    # The larger one is made first, wherever it stands.
    assert turned_round.working_bytes(FULL, FULL, plain=True) == large
    twins = Recipe.from_options(sizes=["a=3000", "b=3000"], format="avif")
    waiting = bytes_of((3000, 2000), 4)
    assert twins.working_bytes(FULL, FULL, plain=True) == large + waiting


def test_buffers_of_the_resampler_are_counted_to_the_end() -> None:
    made = (1500, 1000)
    resize = Resize(SizeSpec.parse("1500"))
    kept = resize.kept_bytes(HALF, made, plain=True)
    assert kept == (4 * 3000 * 1000 if resample.resize_simd else 0)
    assert Resize(SizeSpec.parse("1500"), kernel="nearest").kept_bytes(HALF, made, plain=True) == 0
    encoding = formats.BY_NAME["avif"].encoding.plain
    one, two = (
        Recipe.from_options(sizes=sizes, format="avif").working_bytes(HALF, HALF, plain=True)
        for sizes in (["1500"], ["a=1500", "b=1500"])
    )
    assert one == kept + bytes_of(made, 4 + encoding)
    # The second resize works in the same buffers.
    assert two == one + bytes_of(made, 4)
    smart = names()["smart-crop"]()
    assert smart.kept_bytes(HALF, made, plain=True) == 0
    assert smart.kept_bytes(HALF, made, plain=False) == 4 * 3000 * 2000 * bool(kept)


# Operations once and for an output, and how many pictures are there beside the decoded one while
# the last of them is done: what it is given, and the prepared one, and that of the first step.
NEEDED: Final = ((0, 1, 1), (0, 2, 1), (0, 3, 2), (1, 1, 1), (1, 2, 2), (1, 3, 3))


def test_what_is_needed_again_is_counted_while_others_are_done() -> None:
    """The first step's picture stays until the last one is done, the prepared one to the end."""

    class Large(Operation):
        name = "large"
        memory = PerPixel(50, 60)

        def apply(self, picture: Picture) -> Picture:
            return picture

    def working(before: int, after: int, **words: Any) -> int:
        template = Recipe.from_options().outputs[0].template
        output = Output("x", template, (Large(),) * after, Encoding("bmp"))
        return Recipe("x", (output,), (Large(),) * before).working_bytes(FULL, FULL, **words)

    for before, after, others in NEEDED:
        for each, words in ((4, {"plain": True}), (8, {}), (4, {"pixel_bytes": 4})):
            taken = 50 if "plain" in words else 60
            expected = bytes_of(FULL, each * others + taken)
            assert working(before, after, **words) == expected, (before, after, words)


def test_resizing_takes_more_with_alpha_and_with_numpy() -> None:
    before, after = (3000, 2000), (1500, 1000)
    lanczos, mitchell = (Resize(SizeSpec.parse("1500"), kernel=k) for k in ("lanczos", "mitchell"))
    plain = lanczos.working_bytes(before, after, plain=True)
    assert plain < lanczos.working_bytes(before, after, plain=False)
    weights = 48 * 3000 * 1500
    assert mitchell.working_bytes(before, after, plain=False) > weights
    if resample.resize_simd is not None:
        assert mitchell.working_bytes(before, after, plain=True) == plain


def test_an_operation_that_says_nothing_is_taken_to_need_much() -> None:
    assert Operation.memory.plain >= 12
    assert PerPixel(2, 3).of((10, 10), plain=True) == 200
    assert PerPixel(2, 3).of((10, 10), plain=False) == 300
