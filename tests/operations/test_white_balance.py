"""White balance against float64 NumPy: a black body by Planck's law, and means of light."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.reference import (
    NEAREST,
    Floats,
    check_refused,
    image_of,
    levels_of_all_kinds,
    picture_of,
    planes_of,
)

from imgbatch.cli.commands import group
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Picture
from imgbatch.operations import parse, plain
from imgbatch.operations.point import Joined, joined
from imgbatch.operations.white_balance import _light_of, _planckian, _sampled

WORDS: Final = (
    "white-balance",
    "white-balance:amount=1",
    "white-balance:amount=0.25,tint=-60",
    "white-balance:amount=0,tint=100",
    "white-balance:temperature=2000",
    "white-balance:temperature=3100",
    "white-balance:temperature=5000,tint=35",
    "white-balance:temperature=8000",
    "white-balance:temperature=12000",
    "white-balance:temperature=6500,tint=-100",
)

# Settings with which an operation changes nothing; None if there are none.
NEUTRAL: Final = {"white-balance": "white-balance:amount=0"}

# sRGB (IEC 61966-2-1), in columns of red, green and blue, under its own white and under D50.
SRGB_TO_XYZ: Final = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
SRGB_TO_D50: Final = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
LUMINANCE: Final = SRGB_TO_D50[1]


def decoded(levels: Floats) -> Floats:
    """IEC 61966-2-1, from levels of 255 to light of 1."""
    v = levels / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def encoded(light: Floats) -> Floats:
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def kim(kelvin: float) -> tuple[float, float]:
    """The locus of Kim et al. (2002), as printed there."""
    t = kelvin
    if t <= 4000:
        x = -0.2661239e9 / t**3 - 0.2343589e6 / t**2 + 0.8776956e3 / t + 0.179910
    else:
        x = -3.0258469e9 / t**3 + 2.1070379e6 / t**2 + 0.2226347e3 / t + 0.240390
    if t <= 2222:
        y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    elif t <= 4000:
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        y = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    return x, y


def srgb_light(kelvin: float) -> Floats:
    x, y = kim(kelvin)
    return np.asarray(np.linalg.solve(SRGB_TO_XYZ, [x / y, 1, (1 - x - y) / y]), np.float64)


def gains_for(light: Floats, amount: float, tint: float, luminance: Floats) -> Floats:
    """Green over red and blue, at most two stops, and the luminance of a grey kept."""
    gains = np.clip(light[1] / np.maximum(light, 1e-9), 1 / 4, 4) ** amount
    gains[1] = 0.5 ** (tint / 200)
    return np.asarray(gains / (luminance @ gains * (1 / luminance.sum())), np.float64)


def mean_light(levels: Floats, seen: NDArray[np.bool_], exponent: float | None = None) -> Floats:
    kept = np.all((levels > 5) & (levels < 250), axis=2) & seen
    colours = levels[kept]
    light = decoded(colours) if exponent is None else (colours / 255) ** exponent
    mean: Floats = light.mean(axis=0)
    return mean


def expected_of(words: str, picture: Picture) -> Floats:
    operation = parse(words)
    settings = {"temperature": None, "tint": 0.0, "amount": 0.5} | plain(operation)
    planes = planes_of(picture.image)
    colours = planes[..., :3]
    seen = planes[..., -1] > 0 if picture.has_alpha else np.ones(planes.shape[:2], bool)
    kelvin, amount = settings["temperature"], settings["amount"]
    if kelvin is not None:
        light, amount = srgb_light(kelvin) / srgb_light(6500), 1.0
    else:
        light = mean_light(colours, seen)
    return encoded(decoded(colours) * gains_for(light, amount, settings["tint"], LUMINANCE))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("words", WORDS)
def test_result_matches_the_definition_and_keeps_alpha(words: str, mode: str) -> None:
    picture = picture_of(mode)
    before = picture.image.tobytes()
    after = parse(words).apply(picture)
    found = planes_of(after.image)
    # The published matrices have four digits and are not exact inverses.
    assert np.abs(found[..., :3] - expected_of(words, picture)).max() <= NEAREST + 0.02
    assert after.mode == mode
    if mode == "RGBA":
        assert np.array_equal(found[..., 3], planes_of(picture.image)[..., 3])
    assert after.notices == ()
    assert picture.image.tobytes() == before
    assert np.abs(found - planes_of(picture.image)).max() > 5


@pytest.mark.parametrize("words", WORDS)
def test_grey_pictures_are_unchanged_in_all_their_bits(words: str) -> None:
    fine = np.arange(9 * 7 * 2, dtype=np.uint16).reshape(9, 7, 2) * 500
    for picture in (
        picture_of("L"),
        picture_of("LA", pictures.grey_profile()),
        Picture.of(Image.fromarray(fine[..., 0])),
        Picture(Deep(fine), "png", (7, 9), (0, 0, 7, 9)),
    ):
        assert parse(words).apply(picture) is picture
        changed = joined((parse(words), parse("invert")))[0].apply(picture)
        assert changed.image.tobytes() == parse("invert").apply(picture).image.tobytes()


@pytest.mark.parametrize("words", WORDS)
def test_cmyk_and_16_bits_are_processed_in_8_bit_rgb(words: str) -> None:
    inks = levels_of_all_kinds(4)
    paper = 255 - inks.astype(np.float64)
    rgb = np.rint(paper[..., :3] * paper[..., 3:] / 255).astype(np.uint8)
    after = parse(words).apply(Picture.of(image_of("CMYK", inks)))
    same = parse(words).apply(Picture.of(image_of("RGB", rgb)))
    assert (after.mode, after.image.tobytes()) == ("RGB", same.image.tobytes())
    fine = levels_of_all_kinds(3).astype(np.uint16) * 257
    after = parse(words).apply(Picture(Deep(fine), "png", (83, 61), (0, 0, 83, 61)))
    assert after.image.tobytes() == parse(words).apply(picture_of("RGB")).image.tobytes()
    assert [notice.kind for notice in after.notices] == ["depth-reduced"]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("temperature=1999", ["white-balance: temperature", "'1999'", "from 2000 to 12000 K"]),
        ("temperature=12001", ["white-balance: temperature", "'12001'", "from 2000 to 12000 K"]),
        ("temperature=warm", ["white-balance: temperature", "'warm'"]),
        ("tint=101", ["white-balance: tint", "'101'", "from -100 to 100"]),
        ("amount=1.5", ["white-balance: amount", "'1.5'", "from 0 to 1"]),
        (
            "temperature=3000,amount=0.2",
            ["white-balance: ", "found amount=0.2 and temperature=3000", "expected one of them"],
        ),
    ],
)
def test_wrong_settings_are_refused_with_found_and_expected(words: str, parts: list[str]) -> None:
    check_refused(f"white-balance:{words}", parts)


# Temperatures


def black_body(kelvin: float) -> tuple[float, float]:
    """By Planck's law, and the CIE 1931 observer as Wyman, Sloan and Shirley (2013) fit it."""
    nm = np.arange(360, 831, 1.0)

    def lobe(height: float, middle: float, left: float, right: float) -> Floats:
        away = (nm - middle) * np.where(nm < middle, left, right)
        return np.asarray(height * np.exp(-(away**2) / 2), np.float64)

    power = nm**-5 / np.expm1(1.438777e7 / (nm * kelvin))
    x_bar = lobe(1.056, 599.8, 0.0264, 0.0323) + lobe(0.362, 442.0, 0.0624, 0.0374)
    x_bar += lobe(-0.065, 501.1, 0.0490, 0.0382)
    y_bar = lobe(0.821, 568.8, 0.0213, 0.0247) + lobe(0.286, 530.9, 0.0613, 0.0322)
    z_bar = lobe(1.217, 437.0, 0.0845, 0.0278) + lobe(0.681, 459.0, 0.0385, 0.0725)
    x, y, z = (float(power @ bar) for bar in (x_bar, y_bar, z_bar))
    return x / (x + y + z), y / (x + y + z)


@pytest.mark.parametrize("kelvin", [2000, 2222, 2223, 2856, 4000, 4001, 5000, 6500, 9000, 12_000])
def test_locus_is_that_of_black_bodies(kelvin: float) -> None:
    assert _planckian(kelvin) == pytest.approx(kim(kelvin), abs=1e-9)
    # The fit of the observer is that far off itself, in the red.
    assert _planckian(kelvin) == pytest.approx(black_body(kelvin), abs=0.003)


def test_light_bulb_is_illuminant_a() -> None:
    """ISO 11664-2."""
    assert _planckian(2856) == pytest.approx((0.44758, 0.40745), abs=0.0006)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("kelvin", [3000, 4200, 9000])
def test_grey_card_in_that_light_becomes_neutral_in_any_profile(kelvin: float, wide: bool) -> None:
    """Its levels are those of a camera balanced for 6500 K, in the picture's profile."""
    icc = pictures.wide_gamut_profile() if wide else None
    to_d50 = np.linalg.inv(pictures.WIDE_TO_XYZ) @ SRGB_TO_D50 if wide else np.eye(3)
    light = (to_d50 @ srgb_light(kelvin)) / (to_d50 @ srgb_light(6500))
    luminance = pictures.WIDE_TO_XYZ[1] if wide else LUMINANCE
    light *= 0.3 / (luminance @ light)
    levels = 255 * light ** (1 / pictures.WIDE_GAMMA) if wide else encoded(light)
    card = np.rint(levels).astype(np.uint8)[None, None]
    words = f"white-balance:temperature={kelvin}"
    after = planes_of(parse(words).apply(Picture.of(image_of("RGB", card), icc=icc)).image)[0, 0]
    # The card's own levels are rounded, and up to three times steeper afterwards.
    assert np.ptp(after) <= 3
    assert np.ptp(card.astype(float)) > 20


@pytest.mark.parametrize("tint", [-40, 0, 40])
@pytest.mark.parametrize("kelvin", [2500, 4000, 10_000])
def test_grey_keeps_its_luminance(kelvin: int, tint: int) -> None:
    grey = np.full((1, 1, 3), 90, np.uint8)
    words = f"white-balance:temperature={kelvin},tint={tint}"
    after = planes_of(parse(words).apply(Picture.of(image_of("RGB", grey))).image)
    seen = decoded(after)[0, 0] @ LUMINANCE
    assert encoded(np.array(seen)) == pytest.approx(90, abs=0.6)


def test_lower_is_bluer_higher_yellower_and_tint_goes_from_green_to_magenta() -> None:
    grey = Picture.of(image_of("RGB", np.full((1, 1, 3), 90, np.uint8)))

    def shown(settings: str) -> list[float]:
        found: list[float] = planes_of(parse(f"white-balance:{settings}").apply(grey).image)[
            0, 0
        ].tolist()
        return found

    for warm, cold in ((4000, 5000), (5000, 6400), (7000, 9000)):
        assert shown(f"temperature={warm}")[2] > shown(f"temperature={cold}")[2]
        assert shown(f"temperature={warm}")[0] < shown(f"temperature={cold}")[0]
    red, green, blue = shown("temperature=6500,tint=50")
    assert red == blue > 90 > green
    red, green, blue = shown("temperature=6500,tint=-50")
    assert red == blue < 90 < green


def test_red_and_blue_change_by_at_most_two_stops_against_green() -> None:
    light = np.array(_light_of(2000, None)) / _light_of(6500, None)
    assert light[1] / light[2] > 8
    grey = Picture.of(image_of("RGB", np.full((1, 1, 3), 60, np.uint8)))
    after = planes_of(parse("white-balance:temperature=2000").apply(grey).image)
    _, green, blue = decoded(after)[0, 0]
    assert blue / green == pytest.approx(4, rel=0.05)
    for colour, red, blue in (
        ((200, 20, 40), 1 / 4, None),
        ((40, 20, 200), None, 1 / 4),
        ((20, 200, 20), 4, 4),
    ):
        picture = Picture.of(image_of("RGB", np.full((3, 3, 3), colour, np.uint8)))
        settled = parse("white-balance:amount=1").settled(picture)
        light = decoded(planes_of(settled.apply(grey).image))[0, 0]
        for found, expected in ((light[0], red), (light[2], blue)):
            assert expected is None or found / light[1] == pytest.approx(expected, rel=0.06)


# The grey world


def cast(pixels: NDArray[np.uint8], gains: tuple[float, float, float]) -> NDArray[np.uint8]:
    return np.rint(encoded(decoded(pixels.astype(np.float64)) * gains)).astype(np.uint8)


def test_cast_is_removed_from_a_grey_scene() -> None:
    levels = np.arange(40, 180, dtype=np.uint8).reshape(10, 14, 1)
    grey = np.broadcast_to(levels, (10, 14, 3))
    warm = cast(grey, (1.3, 1.0, 0.6))
    after = parse("white-balance:amount=1").apply(Picture.of(image_of("RGB", warm)))
    # Rounding errors are multiplied.
    assert np.ptp(planes_of(after.image), axis=2).max() <= 2
    assert np.ptp(warm, axis=2).max() > 40


def test_clipped_and_hidden_pixels_do_not_count() -> None:
    scene = levels_of_all_kinds(3, 40, 30).clip(6, 249)
    framed = np.concatenate([scene, np.zeros((10, 40, 3), np.uint8)])
    framed[30:32] = (255, 250, 100)
    framed[32:34] = (255, 90, 100)
    framed[34:36] = (90, 5, 100)
    settled = parse("white-balance").settled(Picture.of(image_of("RGB", scene)))
    assert parse("white-balance").settled(Picture.of(image_of("RGB", framed))) == settled
    hidden = np.concatenate([scene, np.full((30, 40, 1), 1, np.uint8)], axis=2)
    hidden = np.concatenate([hidden, np.full((9, 40, 4), (20, 90, 200, 0), np.uint8)])
    assert parse("white-balance").settled(Picture.of(image_of("RGBA", hidden))) == settled
    seen = hidden.copy()
    seen[..., 3] = 255
    assert parse("white-balance").settled(Picture.of(image_of("RGBA", seen))) != settled


def test_fully_clipped_picture_is_left_alone() -> None:
    stark = np.zeros((6, 6, 3), np.uint8)
    stark[::2] = (255, 0, 255)
    for mode in ("RGB", "RGBA"):
        picture = Picture.of(Image.fromarray(stark).convert(mode))
        after = parse("white-balance:amount=1").apply(picture)
        assert after.image.tobytes() == picture.image.tobytes()


def test_grey_world_is_measured_in_the_light_of_the_profile() -> None:
    picture = picture_of("RGB", pictures.wide_gamut_profile())
    levels = planes_of(picture.image)
    light = mean_light(levels, np.ones(levels.shape[:2], bool), pictures.WIDE_GAMMA)
    gains = gains_for(light, 1, 0, pictures.WIDE_TO_XYZ[1])
    expected = 255 * np.clip((levels / 255) ** pictures.WIDE_GAMMA * gains, 0, 1) ** (
        1 / pictures.WIDE_GAMMA
    )
    after = parse("white-balance:amount=1").apply(picture)
    assert after.icc == picture.icc
    # The curve is followed in linear steps of 1/16 level.
    assert np.abs(planes_of(after.image) - expected).max() <= NEAREST + 0.02


@pytest.mark.parametrize("broken", [b"not a profile", pictures.wide_gamut_profile()[:300]])
@pytest.mark.parametrize("words", ["white-balance", "white-balance:temperature=4000"])
def test_broken_profile_counts_as_srgb(words: str, broken: bytes) -> None:
    plain_one = parse(words).apply(picture_of("RGB"))
    assert parse(words).apply(picture_of("RGB", broken)).image.tobytes() == (
        plain_one.image.tobytes()
    )


def with_primaries(to_xyz: Floats) -> bytes:
    return pictures.rgb_profile(to_xyz, pictures.gamma_curve(2.2))


def short_tag() -> bytes:
    """A profile whose red has only one of three numbers."""
    profile = with_primaries(SRGB_TO_D50)
    at = profile.index(b"rXYZ") + 8
    return profile[:at] + struct.pack(">I", 12) + profile[at + 4 :]


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(with_primaries(np.full((3, 3), 0.3)), id="all the same"),
        pytest.param(with_primaries(-SRGB_TO_D50), id="less than no light"),
        pytest.param(with_primaries(SRGB_TO_D50 / 2), id="half the light"),
        pytest.param(short_tag(), id="too short"),
    ],
)
def test_unusable_primaries_count_as_srgb_and_only_their_ratios_matter(profile: bytes) -> None:
    words = "white-balance:temperature=4000"
    profiles = (profile, with_primaries(SRGB_TO_D50))
    made = [planes_of(parse(words).apply(picture_of("RGB", icc)).image) for icc in profiles]
    assert np.abs(made[0] - made[1]).max() <= 1


def test_primaries_of_negative_luminance_make_no_negative_light() -> None:
    odd = SRGB_TO_D50.copy()
    odd[1] = (0.8, 0.7, -0.5)
    brown = image_of("RGB", np.full((2, 2, 3), (200, 60, 20), np.uint8))
    after = parse("white-balance:amount=1").apply(Picture.of(brown, icc=with_primaries(odd)))
    assert planes_of(after.image).min() > 0


def test_light_beyond_narrow_primaries_meets_the_limit() -> None:
    """Candle light has less than no blue in primaries that are all half grey."""
    narrow = 0.5 * SRGB_TO_D50 + 0.5 * SRGB_TO_D50.sum(axis=1, keepdims=True) / 3
    grey = image_of("RGB", np.full((1, 1, 3), 90, np.uint8))
    after = parse("white-balance:temperature=2000").apply(
        Picture.of(grey, icc=with_primaries(narrow))
    )
    _, green, blue = planes_of(after.image)[0, 0] ** 2.2
    assert blue / green == pytest.approx(4, rel=0.05)


@pytest.mark.slow
def test_light_is_measured_on_a_sample_of_a_large_picture() -> None:
    scene = Image.fromarray(pictures.scene(300, 200)).resize((1500, 1000))
    width, height = _sampled(scene).size
    assert 60_000 <= width * height <= 120_000
    whole = mean_light(planes_of(scene), np.ones((1000, 1500), bool))
    gains = gains_for(whole, 1, 0, LUMINANCE)
    expected = encoded(decoded(planes_of(scene)) * gains)
    after = parse("white-balance:amount=1").apply(Picture.of(scene))
    assert np.abs(planes_of(after.image) - expected).max() <= 2
    line = Picture.of(Image.new("RGB", (400_000, 1), (90, 80, 70)))
    for strip in (line, Picture.of(line.image.transpose(Image.Transpose.ROTATE_90))):
        after = parse("white-balance:amount=1").apply(strip)
        assert np.ptp(planes_of(after.image)[0, 0]) == 0


# With other operations


def test_only_a_grey_world_starts_a_new_lookup() -> None:
    for words, number in (("temperature=4000", 1), ("tint=20", 2)):
        chain = [parse("exposure"), parse(f"white-balance:{words}"), parse("curves")]
        assert len(joined(chain)) == number


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("words", ["white-balance", "white-balance:temperature=5000,tint=35"])
def test_with_its_neighbours_it_is_rounded_only_once(words: str, mode: str) -> None:
    picture = picture_of(mode)
    (chain,) = joined([parse(words), parse("exposure:stops=-0.6"), parse("gamma:amount=1.3")])
    assert isinstance(chain, Joined)
    light = decoded(expected_of(words, picture)) * 2**-0.6
    expected = 255 * (encoded(light) / 255) ** (1 / 1.3)
    found = planes_of(chain.apply(picture).image)
    # Near black the bend is steep, and the published matrices have four digits.
    assert np.abs(found[..., :3] - expected).max() <= NEAREST + 0.03


def test_every_frame_gets_the_gains_of_the_first(tmp_path: Path) -> None:
    dim = np.full((30, 40, 3), (120, 90, 60), np.uint8)
    dim[10:20, :20] = (180, 160, 110)
    lit = dim.copy()
    lit[22:, 20:] = (40, 60, 240)
    frames = [Image.fromarray(one) for one in (dim, lit)]
    data = pictures.saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    (tmp_path / "a.gif").write_bytes(data)
    for number, words in enumerate(("white-balance", "white-balance:temperature=4500")):
        out = tmp_path / str(number)
        done = CliRunner().invoke(
            group, ["filter", str(tmp_path / "a.gif"), "--filter", words, "-o", str(out)]
        )
        assert done.exit_code == 0, done.output
        made = []
        with Image.open(BytesIO((out / "a.gif").read_bytes())) as image:
            for frame in range(2):
                image.seek(frame)
                made.append(np.asarray(image.convert("RGB")))
        settled = parse(words).settled(Picture.of(frames[0]))
        for found, frame_before in zip(made, frames, strict=True):
            alone = settled.apply(Picture.of(frame_before)).image
            assert np.array_equal(found, np.asarray(alone))
        assert not np.array_equal(made[0], dim)
        grey = Picture.of(frames[0].convert("L"))
        assert settled.apply(grey).image.tobytes() == grey.image.tobytes()
        # And a series that starts in grey is not measured later.
        begun = parse("white-balance").settled(grey)
        assert begun.apply(Picture.of(frames[1])).image.tobytes() == frames[1].tobytes()
