"""The profiles with a name, against the numbers that their specifications publish."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from toolkit import pictures
from toolkit.colours import D50, SRGB_TO_XYZ, many_colours, srgb_decoded, srgb_encoded
from toolkit.commands import imgbatch

from imgbatch.errors import UsageError
from imgbatch.imaging.colour import icc, named
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Picture
from imgbatch.model import ProfileName
from imgbatch.operations.profile import ConvertProfile
from imgbatch.recipes import toml
from imgbatch.recipes.recipe import Recipe

Floats = NDArray[np.float64]
NAMES: Final[tuple[ProfileName, ...]] = get_args(ProfileName)

# RGB to XYZ under D50, as published: Adobe RGB and ProPhoto by Bruce Lindbloom
# (brucelindbloom.com, RGB/XYZ Matrices, Bradford-adapted), Display P3 and Rec. 2020 in Google's
# Skia (SkNamedGamut), which are the columns of the ICC's and Apple's own profiles.
MATRICES: Final[dict[str, Any]] = {
    "adobe-rgb": [
        [0.6097559, 0.2052401, 0.1492240],
        [0.3111242, 0.6256560, 0.0632197],
        [0.0194811, 0.0608902, 0.7448387],
    ],
    "display-p3": [
        [0.515102, 0.291965, 0.157153],
        [0.241182, 0.692236, 0.0665819],
        [-0.00104941, 0.0418818, 0.784378],
    ],
    "prophoto": [
        [0.7976749, 0.1351917, 0.0313534],
        [0.2880402, 0.7118741, 0.0000857],
        [0.0, 0.0, 0.8252100],
    ],
    "rec2020": [
        [0.673459, 0.165661, 0.125100],
        [0.279033, 0.675338, 0.0456288],
        [-0.00193139, 0.0299794, 0.797162],
    ],
}


def rec2020_decoded(levels: Floats) -> Floats:
    """Skia's kRec2020, in the form of a parametric curve of type 4."""
    curved = np.maximum(0.909672 * levels + 0.0903276, 0) ** 2.22222
    return np.where(levels < 0.0812429, 0.222222 * levels, curved)


def romm_decoded(levels: Floats) -> Floats:
    """CSS Color 4, 10.6: prophoto-rgb."""
    return np.where(levels <= 16 / 512, levels / 16, levels**1.8)


CURVES: Final[dict[str, Any]] = {
    "adobe-rgb": lambda levels: levels ** (563 / 256),
    "display-p3": srgb_decoded,
    "prophoto": romm_decoded,
    "rec2020": rec2020_decoded,
}


def opened(name: ProfileName) -> Any:
    return ImageCms.ImageCmsProfile(BytesIO(named.profile(name))).profile


@pytest.mark.parametrize("name", NAMES)
def test_primaries_and_white_are_the_published_ones(name: ProfileName) -> None:
    profile = opened(name)
    found = [profile.red_colorant, profile.green_colorant, profile.blue_colorant]
    columns = np.array([one[0] for one in found]).T
    off = np.abs(columns - MATRICES[name]).max(axis=1)
    # They take D50's Z to be 0.8252; profiles are bound to 0.8249 (ICC.1:2010, 7.2.16).
    assert (off < [1e-4, 1e-4, 4e-4]).all()
    assert np.abs(columns.sum(axis=1) - D50).max() < 1e-4
    assert profile.version == pytest.approx(2.1)


@pytest.mark.parametrize("name", NAMES)
def test_curves_are_those_of_the_specifications(name: ProfileName) -> None:
    curves = icc.tone_curves(named.profile(name))
    assert curves is not None
    levels = np.linspace(0, 1, 4001)
    for curve in curves:
        assert np.abs(curve(levels) - CURVES[name](levels)).max() < 2e-5


@pytest.mark.parametrize("name", NAMES)
def test_littlecms_converts_as_float64_does(name: ProfileName) -> None:
    """From sRGB to the space in 16 bits, and back by LittleCMS in 8."""
    pixels = many_colours()
    fine = Deep(pixels.astype(np.uint16) * 257)
    picture = Picture(fine, "png", fine.size, (0, 0, *fine.size))
    made = ConvertProfile(named.profile(name)).apply(picture)
    found = np.asarray(made.pixels.array) / 65_535  # type: ignore[union-attr]
    light = srgb_decoded(pixels / 255) @ SRGB_TO_XYZ.T @ np.linalg.inv(MATRICES[name]).T
    levels = np.linspace(0, 1, 65_537)
    expected = np.interp(np.clip(light, 0, 1), CURVES[name](levels), levels)
    assert np.abs(found - expected).max() < 1.5 / 255
    assert np.abs(found - expected).mean() < 0.1 / 255
    back = ImageCms.profileToProfile(
        Image.fromarray(np.rint(expected * 255).astype(np.uint8)),
        ImageCms.ImageCmsProfile(BytesIO(named.profile(name))),
        ImageCms.createProfile("sRGB"),
    )
    rounded = np.rint(expected * 255) / 255
    seen = CURVES[name](rounded) @ np.array(MATRICES[name]).T @ np.linalg.inv(SRGB_TO_XYZ).T
    off = np.abs(np.asarray(back).astype(float) - 255 * srgb_encoded(seen))
    assert off.max() <= 2.5
    assert off.mean() <= 0.5


def converted(folder: Path, word: str) -> Image.Image:
    out = folder / "out"
    options = ("--profile", word, "-o", out, "--on-conflict", "overwrite")
    run = imgbatch("convert", "a.jpg", "-f", "jpeg", *options, cwd=folder)
    assert run.returncode == 0, run.stderr
    with Image.open(out / "a.jpg") as image:
        image.load()
        return image


def test_profiles_are_known_by_name_in_any_case(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 1
    scene = Image.fromarray(pictures.scene(60, 40))
    scene.save(tmp_path / "a.jpg", exif=exif, quality=95)
    words: dict[str, ProfileName] = {
        "Adobe-RGB": "adobe-rgb",
        "P3": "display-p3",
        "PROPHOTO": "prophoto",
    }
    for word, name in words.items():
        image = converted(tmp_path, word)
        assert image.info["icc_profile"] == named.profile(name)
        assert image.getexif().get_ifd(0x8769)[0xA001] == 0xFFFF
    # Adobe RGB in EXIF alone, as from a camera, is not converted again.
    with Image.open(tmp_path / "a.jpg") as before:
        assert np.abs(np.asarray(before).astype(int) - np.asarray(image).astype(int)).max() > 8
    for word in ("Keep", "sRGB", "SRGB"):
        image = converted(tmp_path, word)
        assert image.getexif().get_ifd(0x8769)[0xA001] == 1


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("Adobe RGB (1998)", "adobe-rgb"),
        ("AdobeRGB1998", "adobe-rgb"),
        ("adobe_rgb", "adobe-rgb"),
        ("DisplayP3", "display-p3"),
        ("ProPhoto RGB", "prophoto"),
        ("ProPhotoRGB", "prophoto"),
        ("ROMM-RGB", "prophoto"),
        ("Rec. 2020", "rec2020"),
        ("BT.2020", "rec2020"),
    ],
)
def test_punctuation_does_not_matter(word: str, name: ProfileName) -> None:
    (operation,) = Recipe.from_options(profile=word).outputs[0].operations
    assert operation == ConvertProfile(named.profile(name))


def test_recipes_and_python_take_the_same_names(tmp_path: Path) -> None:
    ours = Recipe.from_options(sizes=["32"], profile="Rec2020")
    toml.save(ours, tmp_path / "ours.toml")
    assert 'profile = "rec2020"' in (tmp_path / "ours.toml").read_text()
    assert toml.load(tmp_path / "ours.toml").outputs[0].operations == ours.outputs[0].operations
    (tmp_path / "prepared.toml").write_text(
        '[prepare]\nprofile = "ProPhoto"\n[[output]]\nsize = "32"\n'
    )
    prepared = toml.load(tmp_path / "prepared.toml").prepare
    assert prepared == (ConvertProfile(named.profile("prophoto")),)


def test_name_comes_before_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prophoto").write_bytes(pictures.wide_gamut_profile())
    assert Recipe.from_options(profile="prophoto").outputs[0].operations == (
        ConvertProfile(named.profile("prophoto")),
    )
    own = Recipe.from_options(profile="./prophoto")
    assert own.outputs[0].operations == (ConvertProfile(pictures.wide_gamut_profile()),)
    toml.save(own, "own.toml")
    assert toml.load("own.toml").outputs[0].operations == own.outputs[0].operations
    assert os.path.join(os.curdir, "prophoto") in Path("own.toml").read_text()


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("adobe-rbg", "did you mean adobe-rgb?"),
        ("sgrb", "did you mean srgb?"),
        ("displayp", "did you mean display-p3?"),
        ("ciergb.icc", "give keep, srgb, adobe-rgb, display-p3, prophoto, rec2020 or an ICC file"),
    ],
)
def test_unknown_name_gets_the_nearest(word: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.from_options(profile=word)
    assert f"unknown profile {word!r}: {hint}" in str(caught.value)
