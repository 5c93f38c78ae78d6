"""Watermarks and text against float64 NumPy."""

from __future__ import annotations

import itertools
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image, ImageCms
from toolkit import ROOT, pictures
from toolkit.overlays import applied, check_laid, converted, in_8_bits, named, over
from toolkit.reference import (
    DEPTH_NOTICE,
    MODES,
    Floats,
    image_of,
    levels_of_all_kinds,
    picture_of,
    planes_of,
)

from imgbatch.cli.commands import group
from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Picture
from imgbatch.operations import parse
from imgbatch.operations.geometry import GRAVITIES

LOGO: Final = ROOT / "sample_images" / "logo-alpha.png"

WORDS: Final = (
    f"watermark:file={LOGO}",
    f"watermark:file={LOGO},scale=60,gravity=northwest,margin=0,opacity=1",
    f"watermark:file={LOGO},scale=15,margin=8,tile=yes",
    f"watermark:file={LOGO},rotate=30,tile=yes,spacing=10,scale=30",
    f"watermark:file={LOGO},rotate=diagonal,x=10%,y=5,scale=30",
    "text:text=proof,rotate=diagonal,size=40,gravity=center",
    "text:text=tiles,rotate=-20,tile=yes,spacing=15,size=12",
    "text:text=there,x=20,y=50%,rotate=90,size=12",
    "text:text=name: {stem}",
    "text:text={seq:03d}\\ngo,size=20,colour=#20c060,opacity=0.7,gravity=north,margin=1,shadow=no",
    "text:text=dark,colour=black,size=12,gravity=east",
)

NEUTRAL: Final = {
    "watermark": f"watermark:file={LOGO},opacity=0",
    "text": "text:text= ",
}


# Both


@pytest.mark.parametrize("words", WORDS)
def test_16_bits_and_cmyk_are_processed_in_8_bits_rgb(words: str) -> None:
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
def test_invalid_settings_are_refused(words: str, message: str) -> None:
    files = {"logo": LOGO, "own": Path(__file__)}
    for key, path in files.items():
        words = words.replace(f"{{{key}}}", str(path))
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert message.format(**files) in str(caught.value)


@pytest.mark.parametrize("words", [f"{WORDS[0]},scale=50,opacity=1", "text:text={stem},size=20"])
def test_every_frame_of_an_animation_gets_it(tmp_path: Path, words: str) -> None:
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
    """A layer as large as the picture, with the mark in place and nothing around it."""
    page = np.zeros((size[1], size[0], mark.shape[2]))
    page[top : top + mark.shape[0], left : left + mark.shape[1]] = mark
    return page


# 30 % of 83 pixels are the 25 of the mark, so it is not resampled; 10 % of 61 is a margin of 6.
AS_IT_IS: Final = "scale=30,margin=10"


@pytest.mark.parametrize("opacity", [0.5, 1, 0.3])
@pytest.mark.parametrize("mode", MODES)
def test_mark_is_composited_over_the_picture(tmp_path: Path, mode: str, opacity: float) -> None:
    grey = mode in ("L", "LA")
    path = mark_of(tmp_path, "LA" if grey else "RGBA")
    picture = picture_of(mode)
    after = applied(f"watermark:file={path},{AS_IT_IS},opacity={opacity}", picture)
    mark = planes_of(Image.open(path))
    page = on_page(mark, 83 - 25 - 6, 61 - 18 - 6)
    assert after.mode == mode
    check_laid(picture, after, page[..., :-1], in_8_bits(page[..., -1:], opacity))
    if not picture.has_alpha:
        # Opacity in whole levels costs half a level more at most.
        exact, _ = over(planes_of(picture.image), page[..., :-1], page[..., -1:] / 255 * opacity)
        assert np.abs(planes_of(after.image) - exact).max() <= 1


@pytest.mark.parametrize("gravity", GRAVITIES)
def test_mark_is_placed_by_gravity_and_margin(tmp_path: Path, gravity: str) -> None:
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


def test_mark_has_the_same_size_on_portrait_and_landscape(tmp_path: Path) -> None:
    path = tmp_path / "white.png"
    Image.new("RGB", (40, 20), "white").save(path)
    words = f"watermark:file={path},gravity=northwest"
    assert covered(words, (300, 200)) == (6, 6, 66, 36)
    assert covered(words, (200, 300)) == (6, 6, 66, 36)
    assert covered(f"{words},scale=10,margin=0", (200, 300)) == (0, 0, 30, 15)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (600, 60), (60, 600)])
def test_oversized_mark_is_shrunk_to_fit(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "white.png"
    Image.new("L", (30, 20), 255).save(path)
    left, top, right, bottom = covered(f"watermark:file={path},scale=100,margin=10", size)
    margin = min(size) // 10
    assert min(left, top, size[0] - right, size[1] - bottom) == margin
    assert (right - left) / (bottom - top) == pytest.approx(1.5, rel=0.02)


def test_scaled_mark_keeps_the_colours_of_its_edges(tmp_path: Path) -> None:
    """Transparent pixels are green here; none of that may show."""
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
def test_tiles_cover_the_picture_in_rows_offset_by_half(tmp_path: Path, mode: str) -> None:
    path = mark_of(tmp_path, "RGB")
    picture = picture_of(mode)
    words = f"watermark:file={path},{AS_IT_IS},tile=yes,opacity=0.4"
    mark = np.dstack([planes_of(Image.open(path)), np.full((18, 25), 255.0)])
    # Around a mark in the centre, each 25 x 18 pixels with 6 between them.
    page = np.zeros((61 + 400, 83 + 400, 4))
    for row, column in itertools.product(range(-6, 7), range(-5, 6)):
        left = 200 + (83 - 25) // 2 + 31 * column + (15 if row % 2 else 0)
        top = 200 + (61 - 18) // 2 + 24 * row
        page[top : top + 18, left : left + 25] = mark
    page = page[200:-200, 200:-200]
    check_laid(picture, applied(words, picture), page[..., :3], in_8_bits(page[..., 3:], 0.4))


def test_mark_is_converted_to_the_profile_of_the_picture(tmp_path: Path) -> None:
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
def test_mark_on_a_grey_picture_keeps_its_lightness(tmp_path: Path, icc: bytes | None) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (9, 9), (200, 40, 30)).save(path)
    picture = Picture.of(Image.new("L", (60, 60), 255), icc=icc)
    after = applied(f"watermark:file={path},gravity=center,opacity=1", picture)
    light = [((part / 255 + 0.055) / 1.055) ** 2.4 for part in (200, 40, 30)]
    # sRGB's primaries as profiles have them, adapted to D50.
    luminance = 0.2225 * light[0] + 0.7169 * light[1] + 0.0606 * light[2]
    level = 255 * (1.055 * luminance ** (1 / 2.4) - 0.055)
    assert after.mode == "L"
    if icc is None:
        assert abs(planes_of(after.image)[30, 30, 0] - level) <= 1.5
    else:
        assert abs(planes_of(after.image)[30, 30, 0] - level) > 3


def test_broken_profile_of_the_picture_does_not_matter(tmp_path: Path) -> None:
    path = mark_of(tmp_path)
    broken = bytearray(pictures.wide_gamut_profile())
    broken[200:] = bytes(len(broken) - 200)
    words = f"watermark:file={path},{AS_IT_IS}"
    after = applied(words, picture_of("RGB", bytes(broken)))
    assert after.image.tobytes() == applied(words, picture_of("RGB")).image.tobytes()


def test_marks_may_have_any_mode_and_orientation(tmp_path: Path) -> None:
    scene = Image.fromarray(pictures.scene(50, 50))
    keyed = Image.new("P", (50, 50))
    keyed.putpalette([0, 0, 0, 200, 30, 40])
    keyed.paste(1, (10, 10, 40, 40))
    fine = Image.fromarray(np.full((50, 50), 40_000, np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    wide = Image.new("RGB", (50, 25), "white")
    wide.paste((0, 0, 0), (0, 0, 25, 25))
    icon = Image.new("RGBA", (50, 50))
    icon.paste((200, 30, 40), (10, 10, 40, 40))
    cases: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "bits.png": (scene.convert("1"), {}),
        "keyed.png": (keyed, {"transparency": 0}),
        "fine.png": (fine, {}),
        "inks.jpg": (scene.convert("CMYK"), {}),
        "turned.jpg": (wide, {"exif": turned, "quality": 95}),
        "turned.png": (wide, {"exif": turned}),
        "turned.tif": (wide, {"tiffinfo": {0x0112: 6}}),
        "icon.ico": (icon, {"sizes": [(50, 50)], "bitmap_format": "bmp"}),
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
    # Its mask counts.
    assert found["icon.ico"][50, 50].tolist() == [200, 30, 40]
    assert found["icon.ico"][28, 28].tolist() == [9, 9, 9]
    # It is upright: as high as 50 pixels are wide, at the top what was on the left.
    for name in ("turned.jpg", "turned.png", "turned.tif"):
        assert found[name][30, 50].max() < 30, name
        assert found[name][70, 50].min() > 230, name


def test_mark_of_16_bits_or_in_a_camera_profile_is_right(tmp_path: Path) -> None:
    import imagecodecs

    white = np.full((50, 50, 3), 65_535, np.uint16)
    (tmp_path / "fine.jp2").write_bytes(imagecodecs.jpeg2k_encode(white, codecformat="jp2"))
    camera = Image.Exif()
    camera.get_ifd(0x8769)[0xA001] = 2
    red = Image.new("RGB", (50, 50), (180, 120, 120))
    red.save(tmp_path / "adobe.jpg", exif=camera, quality=95, subsampling=0)
    found = {}
    for name in ("fine.jp2", "adobe.jpg"):
        words = f"watermark:file={tmp_path / name},scale=50,gravity=center,opacity=1"
        after = applied(words, Picture.of(Image.new("RGB", (100, 100), (9, 9, 9))))
        found[name] = planes_of(after.image)[50, 50].tolist()
    assert found["fine.jp2"] == [255, 255, 255]
    # Adobe RGB's (180, 120, 120), by its primaries and gamma (DCF 2.0, 5.2.2).
    assert found["adobe.jpg"] == pytest.approx([199, 121, 121], abs=2)


def test_truncated_mark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    data = pictures.saved(pictures.scene(50, 50), "PNG")
    path.write_bytes(data[: len(data) // 2])
    operation = parse(f"watermark:file={path}")
    with pytest.raises(PictureError, match=r"half\.png: the file is cut short"):
        operation.apply(picture_of("RGB"))
