"""Watermarks and text, against float64 NumPy."""

from __future__ import annotations

import dataclasses
import itertools
import struct
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw, ImageFont
from toolkit import ROOT, pictures
from toolkit.reference import (
    DEPTH_NOTICE,
    MODES,
    NEAREST,
    Floats,
    image_of,
    levels_of_all_kinds,
    picture_of,
    planes_of,
)

from imgbatch.cli.commands import group
from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging import lettering
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Metadata, Picture
from imgbatch.model import Origin
from imgbatch.naming import FIELDS
from imgbatch.operations import build, parse
from imgbatch.operations.geometry import GRAVITIES

LOGO: Final = ROOT / "sample_images" / "logo-alpha.png"

WORDS: Final = (
    f"watermark:file={LOGO}",
    f"watermark:file={LOGO},scale=60,gravity=northwest,margin=0,opacity=1",
    f"watermark:file={LOGO},scale=15,margin=8,tile=yes",
    "text:text=name: {stem}",
    "text:text={seq:03d}\\ngo,size=20,colour=#20c060,opacity=0.7,gravity=north,margin=1,shadow=no",
    "text:text=dark,colour=black,size=12,gravity=east",
)

NEUTRAL: Final = {
    "watermark": f"watermark:file={LOGO},opacity=0",
    "text": "text:text= ",
}

ORIGIN: Final = Origin("photo", ".jpg", "holidays/lake", 7, 1_717_172_405 * 10**9, "web", "lake")


def named(picture: Picture) -> Picture:
    return dataclasses.replace(picture, origin=ORIGIN)


def applied(words: str, picture: Picture) -> Picture:
    return parse(words).apply(picture)


def over(below: Floats, colours: Floats, alpha: Floats) -> tuple[Floats, Floats]:
    """Source over, of colours without alpha premultiplied: 0 to 255; alpha is 0 to 1.

    `below` has as many channels, and perhaps an alpha. Also gives the alpha of the result.
    """
    bands = colours.shape[2]
    under = below[..., bands:] / 255 if below.shape[2] > bands else np.ones_like(alpha)
    shown = alpha + under * (1 - alpha)
    mixed = colours * alpha + below[..., :bands] * under * (1 - alpha)
    return np.divide(mixed, shown, out=np.zeros_like(mixed), where=shown > 0), shown


def in_8_bits(alpha: Floats, opacity: float) -> Floats:
    """Alpha of 0 to 255 times an opacity, in whole levels, as 0 to 1."""
    product: Floats = np.floor(alpha * opacity + 0.5) / 255
    return product


def check_laid(picture: Picture, after: Picture, colours: Floats, alpha: Floats) -> None:
    """Hold a result to a layer as large as the picture that was laid over it."""
    before, found = planes_of(picture.image), planes_of(after.image)
    bands = colours.shape[2]
    expected, shown = over(before, colours, alpha)
    touched = alpha[..., 0] > 0
    # With alpha Pillow cuts off its weights behind 1/128 of a level.
    near = NEAREST + (0.02 if picture.has_alpha else 0)
    assert np.abs(found[..., :bands] - expected)[touched].max() <= near
    assert np.abs(found[..., bands:] - 255 * shown)[touched].max(initial=0) <= near
    assert np.array_equal(found[~touched], before[~touched])


# Both


@pytest.mark.parametrize("words", WORDS)
def test_sixteen_bits_and_inks_are_worked_on_in_eight_bits_and_light(words: str) -> None:
    fine = levels_of_all_kinds(1).astype(np.uint16) * 257
    after = applied(words, named(Picture.of(Image.fromarray(fine[..., 0]))))
    plainly = applied(words, named(Picture.of(image_of("L", levels_of_all_kinds(1)))))
    assert np.array_equal(planes_of(after.image), planes_of(plainly.image))
    assert after.notices == (DEPTH_NOTICE,)
    deep = picture_of("RGBA").with_pixels(Deep(levels_of_all_kinds(4).astype(np.uint16) * 257))
    plainly = applied(words, named(picture_of("RGBA")))
    after = applied(words, named(deep))
    assert np.array_equal(planes_of(after.image), planes_of(plainly.image))
    assert [notice.kind for notice in after.notices] == ["depth-reduced"]
    assert applied(words, named(picture_of("CMYK"))).mode == "RGB"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("watermark", "watermark: found no file, expected file=… with a picture"),
        ("watermark:file=nothing.png", "watermark: file: cannot read nothing.png: No such file"),
        ("watermark:file={own}", "watermark: file: found '{own}' (not a picture"),
        ("watermark:file={logo},scale=0", "watermark: scale: found '0', expected a number from 1"),
        ("watermark:file={logo},opacity=2", "watermark: opacity: found '2', expected a number"),
        ("watermark:file={logo},gravity=up", "watermark: gravity: found 'up', expected one of"),
        ("watermark:file={logo},margin=50", "watermark: margin: found '50', expected a number"),
        (
            "text:text={stme}",
            "text: text: unknown field {{stme}} in the text: did you mean {{stem}}",
        ),
        ("text:text={stem", "text: text: cannot read the text '{{stem': "),
        ("text:text={seq:x.y}", "text: text: cannot read the text '{{seq:x.y}}': "),
        ("text:font=Nowhere", "text: font: found 'Nowhere', expected the file of a TrueType or"),
        ("text:font={own}", "text: font: found '{own}', expected a TrueType or OpenType font"),
        ("text:colour=whit", "text: colour: unknown colour 'whit'"),
        ("text:size=0", "text: size: found '0', expected a number from 0.5 to 50 %"),
    ],
)
def test_settings_that_make_no_sense_are_refused(words: str, message: str) -> None:
    files = {"logo": LOGO, "own": Path(__file__)}
    for key, path in files.items():
        words = words.replace(f"{{{key}}}", str(path))
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert message.format(**files) in str(caught.value)


@pytest.mark.parametrize("words", [f"{WORDS[0]},scale=50,opacity=1", "text:text={stem},size=20"])
def test_each_frame_of_an_animation_gets_it(tmp_path: Path, words: str) -> None:
    frames = [Image.new("L", (80, 60), level) for level in (60, 110, 160)]
    data = pictures.saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    (tmp_path / "photo.gif").write_bytes(data)
    done = CliRunner().invoke(
        group,
        ["filter", str(tmp_path / "photo.gif"), "--filter", words, "-o", str(tmp_path / "out")],
    )
    assert done.exit_code == 0, done.output
    with Image.open(BytesIO((tmp_path / "out" / "photo.gif").read_bytes())) as image:
        for number, frame in enumerate(frames):
            image.seek(number)
            made = planes_of(image.convert("L"))
            alone = planes_of(applied(words, named(Picture.of(frame))).image)
            assert np.abs(made - alone).max() <= 1
            assert (np.abs(alone - alone[0, 0]) > 20).any()


# Watermark


def mark_of(folder: Path, mode: str = "RGBA", size: tuple[int, int] = (25, 18)) -> Path:
    path = folder / "mark.png"
    image_of(mode, levels_of_all_kinds(len(mode), *size)).save(path)
    return path


def on_page(mark: Floats, left: int, top: int, size: tuple[int, int] = (83, 61)) -> Floats:
    """A layer as large as the picture, with the mark at a place and nothing around it."""
    page = np.zeros((size[1], size[0], mark.shape[2]))
    page[top : top + mark.shape[0], left : left + mark.shape[1]] = mark
    return page


# 30 % of 83 pixels are the 25 of the mark, so it is not resampled; 10 % of 61 are a margin of 6.
AS_IT_IS: Final = "scale=30,margin=10"


@pytest.mark.parametrize("opacity", [0.5, 1, 0.3])
@pytest.mark.parametrize("mode", MODES)
def test_a_mark_is_laid_over_the_picture(tmp_path: Path, mode: str, opacity: float) -> None:
    grey = mode in ("L", "LA")
    path = mark_of(tmp_path, "LA" if grey else "RGBA")
    picture = picture_of(mode)
    after = applied(f"watermark:file={path},{AS_IT_IS},opacity={opacity}", picture)
    mark = planes_of(Image.open(path))
    page = on_page(mark, 83 - 25 - 6, 61 - 18 - 6)
    assert after.mode == mode
    check_laid(picture, after, page[..., :-1], in_8_bits(page[..., -1:], opacity))
    if not picture.has_alpha:
        # Opacity in whole levels costs half a level more, at most.
        exact, _ = over(planes_of(picture.image), page[..., :-1], page[..., -1:] / 255 * opacity)
        assert np.abs(planes_of(after.image) - exact).max() <= 1


@pytest.mark.parametrize("gravity", GRAVITIES)
def test_a_mark_lies_where_gravity_and_margin_say(tmp_path: Path, gravity: str) -> None:
    path = mark_of(tmp_path, "RGB")
    picture = picture_of("RGB")
    words = f"watermark:file={path},{AS_IT_IS},opacity=1,gravity={gravity}"
    left = 6 if "west" in gravity else 83 - 6 - 25 if "east" in gravity else (83 - 25) // 2
    top = 6 if "north" in gravity else 61 - 6 - 18 if "south" in gravity else 22
    found = planes_of(applied(words, picture).image)
    expected = planes_of(picture.image)
    expected[top : top + 18, left : left + 25] = planes_of(Image.open(path))
    assert np.array_equal(found, expected)


def covered(words: str, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of a black picture that a white mark covers: left, top, right, bottom."""
    after = applied(f"{words},opacity=1", Picture.of(Image.new("L", size)))
    box = after.image.point(lambda level: 255 if level > 127 else 0).getbbox()
    assert box is not None
    return box


def test_a_mark_is_as_large_on_a_portrait_as_on_a_landscape(tmp_path: Path) -> None:
    path = tmp_path / "white.png"
    Image.new("RGB", (40, 20), "white").save(path)
    words = f"watermark:file={path},gravity=northwest"
    assert covered(words, (300, 200)) == (6, 6, 66, 36)
    assert covered(words, (200, 300)) == (6, 6, 66, 36)
    assert covered(f"{words},scale=10,margin=0", (200, 300)) == (0, 0, 30, 15)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (600, 60), (60, 600)])
def test_a_mark_that_is_too_large_is_made_to_fit(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "white.png"
    Image.new("L", (30, 20), 255).save(path)
    left, top, right, bottom = covered(f"watermark:file={path},scale=100,margin=10", size)
    margin = min(size) // 10
    assert min(left, top, size[0] - right, size[1] - bottom) == margin
    assert (right - left) / (bottom - top) == pytest.approx(1.5, rel=0.02)


def test_a_scaled_mark_keeps_the_colours_of_its_edges(tmp_path: Path) -> None:
    """What is transparent is green here; nothing of that may show."""
    path = tmp_path / "mark.png"
    mark = np.zeros((60, 60, 4), np.uint8)
    mark[:] = (0, 255, 0, 0)
    mark[20:40, 20:40] = (255, 0, 255, 255)
    Image.fromarray(mark).save(path)
    black = Picture.of(Image.new("RGB", (100, 100)))
    found = planes_of(applied(f"watermark:file={path},scale=33,opacity=1", black).image)
    assert found[..., 1].max() == 0
    assert found[..., 0].max() == 255
    assert np.array_equal(found[..., 0], found[..., 2])


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_tiles_cover_all_of_the_picture_in_rows_set_off_by_half(tmp_path: Path, mode: str) -> None:
    path = mark_of(tmp_path, "RGB")
    picture = picture_of(mode)
    words = f"watermark:file={path},{AS_IT_IS},tile=yes,opacity=0.4"
    mark = np.dstack([planes_of(Image.open(path)), np.full((18, 25), 255.0)])
    # Around a mark in the centre, each 25 x 18 pixels and 6 between them.
    page = np.zeros((61 + 400, 83 + 400, 4))
    for row, column in itertools.product(range(-6, 7), range(-5, 6)):
        left = 200 + (83 - 25) // 2 + 31 * column + (15 if row % 2 else 0)
        top = 200 + (61 - 18) // 2 + 24 * row
        page[top : top + 18, left : left + 25] = mark
    page = page[200:-200, 200:-200]
    check_laid(picture, applied(words, picture), page[..., :3], in_8_bits(page[..., 3:], 0.4))


def converted(levels: tuple[int, int, int], source: bytes, target: bytes) -> tuple[int, ...]:
    done = ImageCms.profileToProfile(
        Image.new("RGB", (1, 1), levels),
        ImageCms.ImageCmsProfile(BytesIO(source)),
        ImageCms.ImageCmsProfile(BytesIO(target)),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert done is not None
    found = done.getpixel((0, 0))
    assert isinstance(found, tuple)
    return found


def test_a_mark_has_its_colours_in_the_profile_of_the_picture(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide = pictures.wide_gamut_profile()
    red = (200, 40, 30)
    path = tmp_path / "red.png"
    middle: dict[str, NDArray[Any]] = {}
    for name, own, target in (("to", None, wide), ("from", wide, None), ("same", wide, wide)):
        Image.new("RGB", (9, 9), red).save(path, icc_profile=own)
        picture = Picture.of(Image.new("RGB", (60, 60)), icc=target)
        words = f"watermark:file={path},gravity=center,opacity=1"
        middle[name] = planes_of(applied(words, picture).image)[30, 30]
    assert np.abs(middle["to"] - converted(red, srgb, wide)).max() <= 1
    assert np.abs(middle["from"] - converted(red, wide, srgb)).max() <= 1
    assert np.abs(middle["same"] - red).max() <= 2
    assert np.abs(middle["to"] - red).max() > 10 < np.abs(middle["from"] - red).max()


@pytest.mark.parametrize("icc", [None, pictures.grey_profile()])
def test_on_a_grey_picture_a_mark_is_as_light_in_grey(tmp_path: Path, icc: bytes | None) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (9, 9), (200, 40, 30)).save(path)
    picture = Picture.of(Image.new("L", (60, 60), 255), icc=icc)
    after = applied(f"watermark:file={path},gravity=center,opacity=1", picture)
    light = [((part / 255 + 0.055) / 1.055) ** 2.4 for part in (200, 40, 30)]
    # Of sRGB's primaries as profiles have them, adapted to D50.
    luminance = 0.2225 * light[0] + 0.7169 * light[1] + 0.0606 * light[2]
    level = 255 * (1.055 * luminance ** (1 / 2.4) - 0.055)
    assert after.mode == "L"
    if icc is None:
        assert abs(planes_of(after.image)[30, 30, 0] - level) <= 1.5
    else:
        assert abs(planes_of(after.image)[30, 30, 0] - level) > 3


def test_a_broken_profile_of_the_picture_does_not_matter(tmp_path: Path) -> None:
    path = mark_of(tmp_path)
    broken = bytearray(pictures.wide_gamut_profile())
    broken[200:] = bytes(len(broken) - 200)
    words = f"watermark:file={path},{AS_IT_IS}"
    after = applied(words, picture_of("RGB", bytes(broken)))
    assert after.image.tobytes() == applied(words, picture_of("RGB")).image.tobytes()


def test_marks_may_be_of_any_kind_of_picture(tmp_path: Path) -> None:
    scene = Image.fromarray(pictures.scene(50, 50))
    keyed = Image.new("P", (50, 50))
    keyed.putpalette([0, 0, 0, 200, 30, 40])
    keyed.paste(1, (10, 10, 40, 40))
    fine = Image.fromarray(np.full((50, 50), 40_000, np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    wide = Image.new("RGB", (50, 25), "white")
    wide.paste((0, 0, 0), (0, 0, 25, 25))
    cases: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "bits.png": (scene.convert("1"), {}),
        "keyed.png": (keyed, {"transparency": 0}),
        "fine.png": (fine, {}),
        "inks.jpg": (scene.convert("CMYK"), {}),
        "turned.jpg": (wide, {"exif": turned, "quality": 95}),
        "lossless.webp": (scene, {"lossless": True}),
    }
    found = {}
    for name, (image, options) in cases.items():
        image.save(tmp_path / name, **options)
        words = f"watermark:file={tmp_path / name},scale=50,gravity=center,opacity=1"
        after = applied(words, Picture.of(Image.new("RGB", (100, 100), (9, 9, 9))))
        assert after.notices == ()
        found[name] = planes_of(after.image)
    assert set(np.unique(found["bits.png"])) == {0, 9, 255}
    assert found["keyed.png"][50, 50].tolist() == [200, 30, 40]
    assert found["keyed.png"][28, 28].tolist() == [9, 9, 9]
    assert found["fine.png"][50, 50].tolist() == [round(40_000 / 257)] * 3
    assert np.array_equal(found["lossless.webp"][25:75, 25:75], planes_of(scene))
    # It is upright: as high as 50 pixels are wide, with what was left above.
    assert found["turned.jpg"][30, 50].max() < 30
    assert found["turned.jpg"][70, 50].min() > 230


def test_a_mark_that_is_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    data = pictures.saved(pictures.scene(50, 50), "PNG")
    path.write_bytes(data[: len(data) // 2])
    operation = parse(f"watermark:file={path}")
    with pytest.raises(PictureError, match=r"half\.png: the file is cut short"):
        operation.apply(picture_of("RGB"))


# Text


def drawn(text: str, size: float, left: int, baseline: int) -> Floats:
    """A text in the bundled font, as a mask of 0 to 255 on a page, its ink beginning at `left`."""
    mask = Image.new("L", (240, 120))
    font = ImageFont.load_default(size)
    ImageDraw.Draw(mask).text((50, baseline), text, fill=255, font=font, anchor="ls")
    box = mask.getbbox()
    assert box is not None
    return np.roll(planes_of(mask), left - box[0], axis=1)


def blank(mode: str = "RGB", level: int = 120, size: tuple[int, int] = (240, 120)) -> Picture:
    fill = tuple(200 if band == "A" else level for band in mode)
    return named(Picture.of(Image.new(mode, size, fill if len(fill) > 1 else fill[0])))


def metrics(size: float) -> tuple[int, int]:
    """How far capitals reach above the baseline, and descenders below it."""
    _, top, _, bottom = ImageFont.load_default(size).getbbox("Hg", anchor="ls")
    return round(-top), round(bottom)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("opacity", [1, 0.6])
def test_text_is_laid_over_the_picture_in_its_colour(mode: str, opacity: float) -> None:
    picture = blank(mode)
    colour = "#b0b0b0" if mode in ("L", "LA") else "#f0a020"
    words = f"text:text=Hug,size=20,margin=10,shadow=no,colour={colour},opacity={opacity}"
    after = applied(words, picture)
    # 20 % of 120 pixels is the font, 10 % the margin.
    _, below = metrics(24)
    mask = drawn("Hug", 24, 12, 120 - 12 - below)
    levels = (0xB0,) if mode in ("L", "LA") else (0xF0, 0xA0, 0x20)
    colours = np.broadcast_to(np.array(levels, np.float64), (120, 240, len(levels)))
    assert after.mode == mode
    assert mask.max() == 255
    check_laid(picture, after, colours, in_8_bits(mask, opacity))


def test_the_alpha_of_a_colour_is_an_opacity_too() -> None:
    words = "text:text=x,size=30,shadow=no"
    half = applied(f"{words},colour=#ffffff80", blank())
    same = applied(f"{words},opacity={128 / 255}", blank())
    assert half.image.tobytes() == same.image.tobytes()


def extent(words: str, size: tuple[int, int] = (240, 120)) -> tuple[int, int, int, int]:
    after = applied(f"{words},shadow=no", blank("L", 0, size))
    box = after.image.getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize("gravity", GRAVITIES)
def test_text_lies_where_gravity_and_margin_say(gravity: str) -> None:
    left, top, right, bottom = extent(f"text:text=Hg,size=20,margin=5,gravity={gravity}")
    if "west" in gravity:
        assert left == 6
    elif "east" in gravity:
        assert right == 240 - 6
    else:
        assert abs(left + right - 240) <= 1
    if "north" in gravity:
        assert top == 6
    elif "south" in gravity:
        assert bottom == 120 - 6
    else:
        assert abs(top + bottom - 120) <= 2


def test_texts_stand_on_the_same_line_whatever_their_letters() -> None:
    above, below = metrics(24)
    for text in ("xxx", "xgx", "HHH", "x_x"):
        found = extent(f"text:text={text},size=20,margin=5")
        baseline = 120 - 6 - below
        assert found[3] == (baseline if text in ("xxx", "HHH") else found[3]) >= baseline
        assert found[1] >= baseline - above


@pytest.mark.parametrize(("gravity", "left"), [("west", [6, 6]), ("east", None), ("center", None)])
def test_lines_are_aligned_as_gravity_says(gravity: str, left: list[int] | None) -> None:
    after = applied(
        f"text:text=HHHHHH\\nHH,size=15,margin=5,gravity={gravity},shadow=no", blank("L", 0)
    )
    box = after.image.getbbox()
    assert box is not None
    middle = (box[1] + box[3]) // 2
    parts = [after.image.crop((0, 0, 240, middle)), after.image.crop((0, middle, 240, 120))]
    first, second = (part.getbbox() for part in parts)
    assert first is not None
    assert second is not None
    assert first[2] - first[0] > 2 * (second[2] - second[0])
    if gravity == "west":
        assert abs(first[0] - second[0]) <= 0
    elif gravity == "east":
        assert abs(first[2] - second[2]) <= 0
    else:
        assert abs(first[0] + first[2] - second[0] - second[2]) <= 2
    # From baseline to baseline are one and a quarter of the font's 18 pixels.
    assert second[3] + middle - first[3] == round(1.25 * 18)


@pytest.mark.parametrize("size", [(240, 120), (120, 240), (40, 300)])
@pytest.mark.parametrize(
    "text", ["a long text that does not fit into the width of it", "many\\nlines\\n" * 9]
)
def test_text_that_does_not_fit_is_made_smaller(text: str, size: tuple[int, int]) -> None:
    left, top, right, bottom = extent(f"text:text={text},size=30,margin=5,gravity=center", size)
    margin = min(size) // 20
    assert min(left, top) >= margin
    assert right <= size[0] - margin
    assert bottom <= size[1] - margin
    # But no smaller than need be.
    assert right - left > 0.85 * (size[0] - 2 * margin) or bottom - top > 0.7 * size[1]


@pytest.mark.slow
def test_a_text_without_end_takes_no_more_than_the_picture() -> None:
    after = applied(f"text:text={'endless ' * 2000},size=50", blank())
    assert after.size == (240, 120)


def exif_of(date: str = "2019:08:07 06:05:04", model: str = "Box 3") -> bytes:
    exif = Image.Exif()
    exif[0x0110] = model
    exif.get_ifd(0x8769)[0x9003] = date
    return exif.tobytes()


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{stem}{ext} in {dir}", "photo.jpg in holidays/lake"),
        ("{seq} {seq:04d} {output}", "7 0007 web"),
        ("{width}x{height}", "240x120"),
        ("{date}", "2019-08-07"),
        ("{date:%d.%m.%y %H:%M}", "07.08.19 06:05"),
        ("{camera}", "Box 3"),
        ("{{{stem:>7}}}", "{  photo}"),
        ("{stem!u} {camera!l:.2}", "PHOTO bo"),
        ("{parent}", "lake"),
    ],
)
def test_fields_become_what_they_are_of_this_picture(template: str, text: str) -> None:
    picture = dataclasses.replace(blank(), metadata=Metadata(exif=exif_of()))
    escaped = text.replace("{", "{{").replace("}", "}}")
    after, plainly = (
        build("text", {"text": words, "size": 9.0}).apply(picture) for words in (template, escaped)
    )
    assert after.image.tobytes() == plainly.image.tobytes()
    assert after.image.tobytes() != picture.image.tobytes()


@pytest.mark.parametrize("exif", [None, b"broken", exif_of("0000:00:00 00:00:00", "")])
def test_what_exif_does_not_tell_falls_back(exif: bytes | None) -> None:
    picture = dataclasses.replace(blank(), metadata=Metadata(exif=exif))
    changed = datetime.fromtimestamp(ORIGIN.mtime_ns / 1e9, UTC).astimezone()
    text = f"{changed:%Y-%m-%d %H:%M} unknown"
    after = applied("text:text={date:%Y-%m-%d %H:%M} {camera}", picture)
    assert after.image.tobytes() == applied(f"text:text={text}", picture).image.tobytes()


def test_every_field_of_names_can_be_written() -> None:
    for field in FIELDS:
        assert applied(f"text:text=.{{{field}}}", blank()).notices == ()


def test_a_template_needs_no_name_for_a_file() -> None:
    for text in ("..", "/", "C:\\\\", "ends in/", "../x"):
        assert applied(f"text:text={text}", blank()).image.tobytes() != blank().image.tobytes()


def gaussian(mask: Floats, sigma: float) -> Floats:
    reach = int(5 * sigma) + 1
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    across = np.apply_along_axis(np.convolve, 1, mask, taps, "same")
    return np.apply_along_axis(np.convolve, 0, across, taps, "same")


@pytest.mark.parametrize(("colour", "shadow"), [("white", 0), ("black", 255), ("#e04020", 0)])
def test_a_shadow_is_a_blurred_copy_that_sets_the_text_off(colour: str, shadow: int) -> None:
    picture = blank()
    words = f"text:text=Hug,size=20,gravity=center,opacity=0.8,colour={colour}"
    # The letters themselves, from what they look like on black without a shadow.
    white = "text:text=Hug,size=20,gravity=center,shadow=no"
    mask = planes_of(applied(white, blank("L", 0)).image)
    halo = np.minimum(255, 1.5 * gaussian(mask[..., 0], 2.4))[..., None]
    shaded, _ = over(planes_of(picture.image), np.full((120, 240, 3), shadow), 0.8 * halo / 255)
    levels = planes_of(Image.new("RGB", (240, 120), colour))
    expected, _ = over(shaded, levels, 0.8 * mask / 255)
    # Pillow blurs by three boxes, which is not quite a Gaussian.
    assert np.abs(planes_of(applied(words, picture).image) - expected).max() <= 6


def test_white_text_on_white_is_legible_by_its_shadow() -> None:
    picture = blank("L", 255)
    assert planes_of(applied("text:text=Hug,size=20", picture).image).min() < 150
    assert planes_of(applied("text:text=Hug,size=20,shadow=no", picture).image).min() == 255


def test_text_in_a_colour_makes_a_grey_picture_one_in_colours() -> None:
    for mode, expected in (("L", "RGB"), ("LA", "RGBA")):
        after = applied("text:text=Hug,size=30,colour=red", blank(mode))
        found = planes_of(after.image)
        assert after.mode == expected
        assert found[..., 0].max() == 255 > found[..., 1].max()
        assert applied("text:text=Hug,colour=#808080", blank(mode)).mode == mode


def test_text_has_its_colour_in_the_profile_of_the_picture() -> None:
    wide = pictures.wide_gamut_profile()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = dataclasses.replace(blank(), icc=wide)
    after = applied("text:text=HHH,size=50,colour=#d03010,shadow=no", picture)
    told = converted((0xD0, 0x30, 0x10), srgb, wide)
    near = np.abs(planes_of(after.image) - told).max(axis=2) <= 1
    assert near.sum() > 100


@pytest.mark.parametrize(
    "text",
    [
        "tab\there\x00\x07\x1b[0m",
        "\udcff\udc80 undecodable",
        "שלום مرحبا",
        "😀👨‍👩‍👧 日本語",
        "a\r\nb\rc\u2028d",
        "\u202eturned\u202c",
        "e\u0301 decomposed",
        "x" * 300,
        "\n\n",
    ],
)
def test_odd_names_are_written_as_far_as_the_font_goes(text: str) -> None:
    picture = dataclasses.replace(blank(), origin=Origin(text))
    for words in ("text", "text:size=40,gravity=center", "text:text={stem}\\n{stem}"):
        assert applied(words, picture).size == (240, 120)


def test_what_cannot_be_drawn_is_left_away() -> None:
    assert lettering.readable("a\tb\x00c") == "a b c"
    assert lettering.readable("a\r\nb\rc\u2028d") == "a\nb\nc\nd"
    assert lettering.readable("e\u0301\udcff") == "é\ufffd"


# Fonts


@pytest.fixture
def bundled(tmp_path: Path) -> Path:
    """The bundled font as a file."""
    stream: Any = ImageFont.load_default(10)
    path = tmp_path / "fonts" / "Own Sans.ttf"
    path.parent.mkdir()
    path.write_bytes(stream.path.getvalue())
    return path


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is all that the system has of fonts."""
    folder = tmp_path / "share"
    (folder / "fonts").mkdir(parents=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    monkeypatch.setenv("XDG_DATA_DIRS", str(folder))
    caches = (lettering.suitable, lettering._system_font)
    for cache in caches:
        cache.cache_clear()
    yield folder / "fonts"
    for cache in caches:
        cache.cache_clear()


def test_a_font_can_be_a_file(bundled: Path) -> None:
    words = f"text:text=Hug,font={bundled}"
    assert (
        applied(words, blank()).image.tobytes() == applied("text:text=Hug", blank()).image.tobytes()
    )
    with pytest.raises(UsageError, match="found 'é', expected letters that this font has"):
        parse(f"text:text=Café,font={bundled}")


def test_a_font_beside_a_recipe_is_found(bundled: Path) -> None:
    operation = parse("text:text=Hug,font=Own Sans.ttf", str(bundled.parent))
    assert operation == parse(f"text:text=Hug,font={bundled}")


@pytest.mark.skipif(sys.platform != "linux", reason="fonts are elsewhere on other systems")
def test_a_font_can_be_one_of_the_system_by_its_name(bundled: Path, system: Path) -> None:
    (system / "Own-Sans.ttf").write_bytes(bundled.read_bytes())
    assert parse("text:text=Hug,font=Own-Sans") == parse(f"text:text=Hug,font={bundled}")


@pytest.mark.skipif(sys.platform != "linux", reason="fonts are elsewhere on other systems")
def test_letters_that_no_font_has_are_refused_in_a_text_and_replaced_in_a_name(
    system: Path,
) -> None:
    with pytest.raises(UsageError, match="found 'ü日', expected letters that the bundled font"):
        parse("text:text=Müritz 日")
    assert parse("text:text=© “Müller”".replace("ü", "u"))
    picture = dataclasses.replace(blank(), origin=Origin("Müritz"))
    after = applied("text", picture)
    assert after.image.tobytes() == applied("text:text=Muritz", blank()).image.tobytes()


@pytest.mark.skipif(sys.platform != "linux", reason="fonts are elsewhere on other systems")
def test_letters_that_the_bundled_font_lacks_are_drawn_in_one_of_the_system(
    bundled: Path, system: Path
) -> None:
    assert lettering.suitable("Müri", None) is None
    # A font that has them: the bundled one, which says of its » that it is an ü.
    (system / "DejaVuSans.ttf").write_bytes(with_letter(bundled.read_bytes(), "»", "ü"))
    lettering.suitable.cache_clear()
    lettering._system_font.cache_clear()
    picture = dataclasses.replace(blank(), origin=Origin("Müri"))
    after = applied("text", picture)
    assert after.image.tobytes() == applied("text:text=M»ri", blank()).image.tobytes()
    assert lettering.suitable("Muri", None) is None


def with_letter(font: bytes, old: str, new: str) -> bytes:
    """A font that has `new` in place of `old` (OpenType, cmap, format 4); both alone in a range."""
    made = bytearray(font)
    tables = struct.unpack(">H", font[4:6])[0]
    records = (
        struct.unpack(">4sIII", font[at : at + 16]) for at in range(12, 12 + 16 * tables, 16)
    )
    cmap = next(offset for tag, _, offset, _ in records if tag == b"cmap")
    table = cmap + struct.unpack(">I", font[cmap + 8 : cmap + 12])[0]
    form, _, _, twice = struct.unpack(">HHHH", font[table : table + 8])
    assert form == 4
    ends, starts, deltas = table + 14, table + 16 + twice, table + 16 + 2 * twice
    codes = struct.unpack(f">{twice // 2}H", font[ends : ends + twice])
    at = 2 * codes.index(ord(old))
    delta = struct.unpack_from(">H", font, deltas + at)[0]
    for place in (ends, starts):
        struct.pack_into(">H", made, place + at, ord(new))
    struct.pack_into(">H", made, deltas + at, (delta + ord(old) - ord(new)) % 65_536)
    return bytes(made)
