"""Text is drawn over the picture, in any font that has its characters."""

from __future__ import annotations

import struct
import sys
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image, ImageCms, ImageDraw, ImageFont
from toolkit import ROOT, pictures
from toolkit.overlays import ORIGIN, applied, check_laid, converted, in_8_bits, named, over
from toolkit.reference import (
    MODES,
    Floats,
    planes_of,
)

from imgbatch.errors import UsageError
from imgbatch.imaging.filters import lettering
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.imaging.picture import Metadata, Picture
from imgbatch.model import Origin
from imgbatch.naming import FIELDS
from imgbatch.operations import build, parse
from imgbatch.operations.geometry import GRAVITIES

FONT: Final = Path(lettering.__file__).parent / "fonts/NotoSans-Regular.ttf"

# Text


def drawn(text: str, size: float, left: int, baseline: int) -> Floats:
    """A text in the bundled font, as a mask of 0 to 255 on a page, its ink beginning at `left`."""
    mask = Image.new("L", (240, 120))
    font = ImageFont.truetype(FONT, size)
    ImageDraw.Draw(mask).text((50, baseline), text, fill=255, font=font, anchor="ls")
    box = mask.getbbox()
    assert box is not None
    return np.roll(planes_of(mask), left - box[0], axis=1)


def blank(mode: str = "RGB", level: int = 120, size: tuple[int, int] = (240, 120)) -> Picture:
    fill = tuple(200 if band == "A" else level for band in mode)
    return named(Picture.of(Image.new(mode, size, fill if len(fill) > 1 else fill[0])))


def metrics(size: float) -> tuple[int, int]:
    """Height of capitals above the baseline, and of descenders below it."""
    _, top, _, bottom = ImageFont.truetype(FONT, size).getbbox("Hg", anchor="ls")
    return round(-top), round(bottom)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("opacity", [1, 0.6])
def test_text_is_drawn_over_the_picture_in_its_colour(mode: str, opacity: float) -> None:
    picture = blank(mode)
    colour = "#b0b0b0" if mode in ("L", "LA") else "#f0a020"
    words = f"text:text=Hug,size=20,margin=10,shadow=no,colour={colour},opacity={opacity}"
    after = applied(words, picture)
    # The font is 20 % of 120 pixels, the margin 10 %.
    _, below = metrics(24)
    mask = drawn("Hug", 24, 12, 120 - 12 - below)
    levels = (0xB0,) if mode in ("L", "LA") else (0xF0, 0xA0, 0x20)
    colours = np.broadcast_to(np.array(levels, np.float64), (120, 240, len(levels)))
    assert after.mode == mode
    assert mask.max() == 255
    check_laid(picture, after, colours, in_8_bits(mask, opacity))


def test_alpha_of_a_colour_acts_as_opacity() -> None:
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
def test_text_is_placed_by_gravity_and_margin(gravity: str) -> None:
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


def test_texts_share_a_baseline_whatever_their_letters() -> None:
    above, below = metrics(24)
    for text in ("xxx", "xgx", "HHH", "x_x"):
        found = extent(f"text:text={text},size=20,margin=5")
        baseline = 120 - 6 - below
        assert found[3] == (baseline if text in ("xxx", "HHH") else found[3]) >= baseline
        assert found[1] >= baseline - above


@pytest.mark.parametrize(("gravity", "left"), [("west", [6, 6]), ("east", None), ("center", None)])
def test_lines_are_aligned_by_gravity(gravity: str, left: list[int] | None) -> None:
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
        # Letters end between pixels.
        assert abs(first[2] - second[2]) <= 1
    else:
        assert abs(first[0] + first[2] - second[0] - second[2]) <= 2
    # Baselines are one and a quarter of the font's 18 pixels apart.
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
    # But no smaller than necessary.
    assert right - left > 0.85 * (size[0] - 2 * margin) or bottom - top > 0.7 * size[1]


@pytest.mark.slow
def test_endless_text_takes_no_more_memory_than_the_picture() -> None:
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
def test_fields_are_filled_in_for_this_picture(template: str, text: str) -> None:
    picture = replace(blank(), metadata=Metadata(exif=Exif(exif_of())))
    escaped = text.replace("{", "{{").replace("}", "}}")
    after, plainly = (
        build("text", {"text": words, "size": 9.0}).apply(picture) for words in (template, escaped)
    )
    assert after.image.tobytes() == plainly.image.tobytes()
    assert after.image.tobytes() != picture.image.tobytes()


@pytest.mark.parametrize("exif", [None, exif_of("0000:00:00 00:00:00", "")])
def test_missing_exif_fields_fall_back(exif: bytes | None) -> None:
    picture = replace(blank(), metadata=Metadata(exif=Exif(exif) if exif else None))
    changed = datetime.fromtimestamp(ORIGIN.mtime_ns / 1e9, UTC).astimezone()
    text = f"{changed:%Y-%m-%d %H:%M} unknown"
    after = applied("text:text={date:%Y-%m-%d %H:%M} {camera}", picture)
    assert after.image.tobytes() == applied(f"text:text={text}", picture).image.tobytes()


def test_every_field_of_names_can_be_drawn() -> None:
    for field in FIELDS:
        assert applied(f"text:text=.{{{field}}}", blank()).notices == ()


def test_template_need_not_be_a_valid_file_name() -> None:
    for text in ("..", "/", "C:\\\\", "ends in/", "../x"):
        assert applied(f"text:text={text}", blank()).image.tobytes() != blank().image.tobytes()


def gaussian(mask: Floats, sigma: float) -> Floats:
    reach = int(5 * sigma) + 1
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    across = np.apply_along_axis(np.convolve, 1, mask, taps, "same")
    return np.apply_along_axis(np.convolve, 0, across, taps, "same")


@pytest.mark.parametrize(("colour", "shadow"), [("white", 0), ("black", 255), ("#e04020", 0)])
def test_shadow_is_a_blurred_copy_behind_the_text(colour: str, shadow: int) -> None:
    picture = blank()
    words = f"text:text=Hug,size=20,gravity=center,opacity=0.8,colour={colour}"
    # The letters themselves, from their appearance on black without a shadow.
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


def test_coloured_text_turns_grey_into_rgb() -> None:
    for mode, expected in (("L", "RGB"), ("LA", "RGBA")):
        after = applied("text:text=Hug,size=30,colour=red", blank(mode))
        found = planes_of(after.image)
        assert after.mode == expected
        assert found[..., 0].max() == 255 > found[..., 1].max()
        assert applied("text:text=Hug,colour=#808080", blank(mode)).mode == mode


def test_text_colour_is_converted_to_the_profile_of_the_picture() -> None:
    wide = pictures.wide_gamut_profile()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = replace(blank(), icc=wide)
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
def test_unusual_names_are_drawn_as_far_as_the_font_goes(text: str) -> None:
    picture = replace(blank(), origin=Origin(text))
    for words in ("text", "text:size=40,gravity=center", "text:text={stem}\\n{stem}"):
        assert applied(words, picture).size == (240, 120)


def test_undrawable_characters_are_omitted() -> None:
    assert lettering.readable("a\tb\x00c") == "a b c"
    assert lettering.readable("a\r\nb\rc\u2028d") == "a\nb\nc\nd"
    assert lettering.readable("e\u0301\udcff") == "é\ufffd"


# Fonts


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A font of the user's, which only has the letters of English: Pillow's."""
    stream: Any = ImageFont.load_default(10)
    path = tmp_path / "fonts" / "Own Sans.ttf"
    path.parent.mkdir()
    path.write_bytes(stream.path.getvalue())
    return path


def told(text: str, words: str = "text") -> tuple[Picture, list[str]]:
    """What a file of this name gets, and the messages of warnings."""
    after = applied(words, replace(blank(), origin=Origin(text)))
    assert {notice.kind for notice in after.notices} <= {"letters-missing"}
    return after, [notice.message for notice in after.notices]


def test_font_can_be_a_file(own: Path) -> None:
    bundled, same, other = (
        applied(f"text:text=Hug{more}", blank()).image.tobytes()
        for more in ("", f",font={FONT}", f",font={own}")
    )
    assert bundled == same != other
    with pytest.raises(UsageError, match="found 'ü', expected letters that the font "):
        parse(f"text:text=Müritz,font={own}")


def test_font_next_to_a_recipe_is_found(own: Path) -> None:
    operation = parse("text:text=Hug,font=Own Sans.ttf", str(own.parent))
    assert operation == parse(f"text:text=Hug,font={own}")


@pytest.mark.skipif(sys.platform != "linux", reason="fonts are elsewhere on other systems")
def test_font_can_be_a_system_font_by_name(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(own.parents[1]))
    (own.parent / "Own-Sans.ttf").write_bytes(own.read_bytes())
    assert parse("text:text=Hug,font=Own-Sans") == parse(f"text:text=Hug,font={own}")


def test_all_letters_of_latin_greek_and_cyrillic_are_there() -> None:
    """Judged by Unicode's own names."""
    scripts = ("LATIN ", "GREEK ", "CYRILLIC ", "COMBINING GRAVE", "COMBINING ACUTE", "EURO ")
    # Blocks of letters in use: the rest of the BMP has forms for phonetics and compatibility.
    blocks = (range(0x20, 0x250), range(0x370, 0x530), range(0x1E00, 0x2000))
    for code in (one for block in blocks for one in block):
        if unicodedata.name(chr(code), "").startswith(scripts):
            assert lettering.missing(chr(code), None) == "", unicodedata.name(chr(code))
    assert lettering.missing("©®™ “”‘’„«»…–—•·€£¥§°²³½×÷¿¡№", None) == ""


def test_all_names_of_a_shoot_get_the_same_font() -> None:
    plain, accented = told("Dune")[0], told("Düne")[0]
    # It is the same picture, except for the dots.
    differing = (planes_of(plain.image) != planes_of(accented.image)).any(axis=(0, 2))
    columns = np.flatnonzero(differing)
    assert 0 < np.ptp(columns) < 12


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("Ærø, Łódź, Việt, Ωμέγα, Ёжик", ""),
        ("Ναὶ ᾷ ᾧ", ""),
        ("写真", "写真"),
        ("שלום", "םולש"),
        ("صور", "روص"),
        ("😀", "😀"),
        ("👨‍👩‍👧", "👧👨👩"),
        ("a → b ✓", "→✓"),
        ("हिन्दी", "दनहिी्"),
        ("soft­hyphen​‍", ""),
        ("wide　space", ""),
        ("x̂", ""),
    ],
)
def test_what_the_bundled_font_lacks_is_told(name: str, lacking: str) -> None:
    _, messages = told(name)
    if lacking:
        shown = "".join(sorted(lacking))
        assert messages == [f"the bundled font has no {shown!r}: choose another with font=…"]
    else:
        assert messages == []


@pytest.mark.parametrize("text", ["写真", "Müritz → 日"])
def test_missing_letters_are_refused_in_a_text(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected letters that the bundled font has: choose"):
        parse(f"text:text={text}")
    assert parse("text:text=© “Müritz”")


def test_letters_that_the_users_font_lacks_are_told(own: Path) -> None:
    after, messages = told("Müritz", f"text:font={own}")
    assert messages == [f"the font {own} has no 'ü': choose another with font=…"]
    # It has lost its accent.
    plain = applied(f"text:text=Muritz,font={own}", blank())
    assert after.image.tobytes() == plain.image.tobytes()
    assert told("Mueritz", f"text:font={own}")[1] == []


@pytest.mark.parametrize("sign", "≠≮∄Ⅷ㎡㎏①…㌔각")
def test_a_sign_is_not_drawn_as_a_part_of_it(sign: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only letters have accents: UnicodeData.txt, fields 2 and 5, has the parts of the others."""
    part = unicodedata.normalize("NFKD", sign)[0]
    monkeypatch.setattr(lettering, "_has", lambda _, character: character == part)
    assert lettering.drawable(sign, None) == (sign, sign)


def test_a_long_list_of_missing_letters_is_cut() -> None:
    _, (message,) = told("".join(map(chr, range(0x4E00, 0x4E60))))
    assert message.count("专") == 1
    assert "且" not in message
    assert "…'" in message


def test_characters_are_missing_exactly_if_the_font_does_not_map_them() -> None:
    """Judged by the font's own table (OpenType, cmap, format 4)."""
    mapped = set(mapped_characters(FONT.read_bytes()))
    for code in range(0x20, 0xFFFE, 7):
        letter = chr(code)
        invisible = unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")
        if not invisible and not unicodedata.name(letter, "").startswith("VARIATION SELECTOR"):
            assert (lettering.missing(letter, None) == "") == (code in mapped), f"{code:04X}"


def test_without_raqm_what_it_would_have_to_place_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFont.core, "HAVE_RAQM", False)
    caches = (lettering.font_of, lettering._is_shaped, lettering._has)
    for cache in caches:
        cache.cache_clear()
    try:
        assert lettering.missing("x̂é", None) == "̂"
        assert lettering.drawable("a‍b‎", None) == ("ab", "")
    finally:
        for cache in caches:
            cache.cache_clear()


def test_the_font_comes_with_its_licence() -> None:
    licence = FONT.with_name("OFL.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"imgbatch/imaging/filters/fonts/OFL.txt"' in project
    assert FONT.stat().st_size < 1_000_000


def mapped_characters(font: bytes) -> Iterator[int]:
    """The code points that a font has glyphs for (OpenType, cmap, format 4)."""
    tables = struct.unpack_from(">H", font, 4)[0]
    records = (struct.unpack_from(">4sIII", font, 12 + 16 * table) for table in range(tables))
    cmap = next(offset for tag, _, offset, _ in records if tag == b"cmap")
    table = cmap + struct.unpack_from(">I", font, cmap + 8)[0]
    form, _, _, twice = struct.unpack_from(">HHHH", font, table)
    assert form == 4
    # Last and first code of each segment, what is added to a code, and where its glyphs are.
    arrays = (table + 14, *(table + 16 + twice * number for number in (1, 2, 3)))
    for at in range(0, twice, 2):
        last, first, delta, offset = (struct.unpack_from(">H", font, one + at)[0] for one in arrays)
        for code in range(first, last + 1):
            place = arrays[3] + at + offset + 2 * (code - first)
            glyph = struct.unpack_from(">H", font, place)[0] if offset else code
            if glyph and (glyph + delta) % 65_536:
                yield code
