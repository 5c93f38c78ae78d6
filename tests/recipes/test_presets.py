"""The recipes that come with imgbatch, run as their users do."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw
from toolkit import ROOT
from toolkit.commands import imgbatch, imgbatch_here
from toolkit.pictures import COPYRIGHT, exif_block, opened, wide_gamut_profile

from imgbatch.imaging import colour
from imgbatch.recipes.toml import presets

Sizes = list[tuple[int, int]]

# What becomes of a landscape of 2400 x 1600 and a portrait of 1000 x 1500.
PRESETS: Final[dict[str, tuple[Sizes, Sizes]]] = {
    "archive-avif": ([(2400, 1600)], [(1000, 1500)]),
    "client-delivery": (
        [(2400, 1600), (2048, 1365), (400, 267)],
        [(1000, 1500), (1000, 1500), (267, 400)],
    ),
    "email": ([(1600, 1067)], [(1000, 1500)]),
    "facebook": ([(2048, 1365)], [(1000, 1500)]),
    "instagram": ([(1080, 1350), (1080, 720)], [(1080, 1350), (900, 1350)]),
    "print-proof": ([(2400, 1600)], [(1000, 1500)]),
    "stories": ([(1080, 1920)], [(1080, 1920)]),
    "thumbnails": ([(320, 320), (160, 160)], [(320, 320), (160, 160)]),
    "web-gallery": (
        [(2048, 1365), (1024, 683), (400, 400)],
        [(1000, 1500), (683, 1024), (400, 400)],
    ),
}
SKIN: Final = (214, 160, 130)


def portrait_at(place: tuple[float, float], size: tuple[int, int]) -> Image.Image:
    """A meadow with a face somewhere, a quarter as high as the picture."""
    with Image.open(ROOT / "sample_images" / "mountains.jpg") as meadow:
        page = meadow.convert("RGB").crop((0, 1250, 1000, 1600)).resize(size)
    x, y, half = place[0] * size[0], place[1] * size[1], size[1] / 8
    draw = ImageDraw.Draw(page)
    draw.ellipse((x - 0.75 * half, y - half, x + 0.75 * half, y + half), SKIN)
    for side in (-1, 1):
        eye = x + side * 0.3 * half
        draw.ellipse((eye - 6, y - 0.3 * half - 4, eye + 6, y - 0.3 * half + 4), (40, 25, 20))
    draw.line((x - 0.3 * half, y + 0.5 * half, x + 0.3 * half, y + 0.5 * half), (150, 60, 60), 6)
    return page


def skin_of(image: Image.Image) -> Any:
    return np.abs(np.asarray(image.convert("RGB")).astype(int) - SKIN).max(axis=2) < 24


@pytest.fixture(scope="module")
def shoot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs with a position, a copyright and colours beyond sRGB."""
    folder = tmp_path_factory.mktemp("shoot")
    (folder / "photos" / "day 1").mkdir(parents=True)
    options: dict[str, Any] = {
        "exif": b"Exif\0\0" + exif_block(orientation=1).block,
        "icc_profile": wide_gamut_profile(),
    }
    with Image.open(ROOT / "sample_images" / "mountains.jpg") as scene:
        scene.save(folder / "photos" / "day 1" / "Müritz.jpg", quality=92, **options)
    tall = portrait_at((0.5, 0.2), (1000, 1500))
    tall.save(folder / "photos" / "tall.jpg", quality=92, **options)
    return folder


def test_presets_are_listed_with_their_purpose(tmp_path: Path) -> None:
    told = imgbatch_here("presets", cwd=tmp_path).stdout.decode().splitlines()
    assert [line.partition(":")[0] for line in told] == sorted(PRESETS) == list(presets())
    assert all(len(line.partition(": ")[2]) > 30 for line in told)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PRESETS if name != "archive-avif"])
def test_preset_makes_what_it_says(shoot: Path, name: str) -> None:
    run = imgbatch("run", name, "photos", "--report", "-", "-j", "1", cwd=shoot)
    assert run.returncode == 0, run.stderr.decode()
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    made = {row["source"]: row["outputs"] for row in rows if "outputs" in row}
    assert len(made) == 2
    for source, outputs in made.items():
        sizes = PRESETS[name][0 if "ritz" in source else 1]
        assert [(one["width"], one["height"]) for one in outputs] == sizes
        for one in outputs:
            assert one["path"].startswith(f"photos-{name}/")
            data = (shoot / one["path"]).read_bytes()
            check(data, (one["width"], one["height"]), name)


def check(data: bytes, size: tuple[int, int], name: str) -> None:
    """The format, the bytes, the colours and the metadata of an output."""
    image = opened(data)
    assert image.size == size
    assert image.format == ("WEBP" if name == "thumbnails" else "JPEG")
    icc = image.info.get("icc_profile")
    assert icc is None or colour.is_srgb(icc)
    exif = image.getexif()
    assert 0x8825 not in exif or name == "print-proof"
    # The thumbnails of a gallery carry nothing.
    if name not in ("thumbnails", "web-gallery"):
        assert exif[0x8298]
    if name == "email":
        assert len(data) <= 1_000_000


def test_archive_keeps_everything(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    exif = b"Exif\0\0" + exif_block(orientation=1).block
    wide = wide_gamut_profile()
    portrait_at((0.5, 0.5), (300, 200)).save(tmp_path / "s/a.jpg", exif=exif, icc_profile=wide)
    (kept,) = run_here(tmp_path, "archive-avif")
    assert (kept.format, kept.size, kept.info["icc_profile"]) == ("AVIF", (300, 200), wide)
    assert kept.getexif()[0x8298] == COPYRIGHT
    assert 0x8825 in kept.getexif()


def run_here(folder: Path, name: str) -> list[Image.Image]:
    """What a preset makes of the pictures in a folder, in the order of its outputs."""
    run = imgbatch("run", name, "s", "-o", "out", "--report", "-", "-j", "1", cwd=folder)
    assert run.returncode == 0, run.stderr.decode()
    outputs = json.loads(run.stdout.splitlines()[1])["outputs"]
    return [opened((folder / one["path"]).read_bytes()) for one in outputs]


@pytest.mark.parametrize("name", ["instagram", "stories"])
@pytest.mark.parametrize("across", [0.12, 0.88])
def test_subject_at_the_side_is_not_cut(tmp_path: Path, name: str, across: float) -> None:
    (tmp_path / "s").mkdir()
    page = portrait_at((across, 0.5), (900, 600))
    page.save(tmp_path / "s" / "a.jpg", quality=95)
    cropped = run_here(tmp_path, name)[0]
    assert cropped.height > cropped.width
    seen, whole = skin_of(cropped), skin_of(page)
    scale = cropped.height / page.height
    assert seen.sum() / scale**2 > 0.95 * whole.sum()
    assert not seen[:, [0, -1]].any()


def test_noise_is_no_larger_than_mail_takes(tmp_path: Path) -> None:
    """The worst that a photograph can be."""
    (tmp_path / "s").mkdir()
    noise = np.random.RandomState(5).randint(0, 256, (1067, 1600, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "s" / "a.png", compress_level=1)
    run_here(tmp_path, "email")
    (made,) = (tmp_path / "out").glob("*.jpg")
    assert 500_000 < made.stat().st_size <= 1_000_000


@pytest.mark.parametrize("size", [(900, 600), (600, 900)])
def test_proof_is_marked_along_its_diagonal(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "s").mkdir()
    plain = Image.new("RGB", size, (110, 120, 110))
    plain.save(tmp_path / "s" / "IMG_0007.jpg", quality=95)
    (proof,) = run_here(tmp_path, "print-proof")
    changed = np.abs(np.asarray(proof).astype(int) - (110, 120, 110)).max(axis=2) > 25
    # Along the diagonal from lower left to upper right, and not along the other.
    rows, columns = np.nonzero(changed[: int(0.9 * size[1])])
    assert np.ptp(columns) > 0.55 * size[0]
    assert np.ptp(rows) > 0.55 * size[1]
    assert np.corrcoef(columns, rows)[0, 1] < -0.7
    assert 0.03 < changed.mean() < 0.4
    # The name below.
    assert changed[int(0.93 * size[1]) :, size[0] // 3 : 2 * size[0] // 3].any()


def test_delivery_keeps_the_copyright_and_converts_the_colours(shoot: Path) -> None:
    source = shoot / "photos" / "tall.jpg"
    run = imgbatch("run", "client-delivery", source, "-o", "delivered", "-j", "1", cwd=shoot)
    assert run.returncode == 0, run.stderr.decode()
    found, pixels = {}, {}
    for output in ("print", "web", "thumb"):
        with Image.open(shoot / "delivered" / output / "tall.jpg") as image:
            found[output] = image.getexif(), image.info.get("dpi")
            pixels[output] = np.asarray(image).astype(int)
    assert {exif[0x8298] for exif, _ in found.values()} == {COPYRIGHT}
    assert found["print"][1] == (300, 300)
    assert 0x010F in found["print"][0]
    assert 0x010F not in found["web"][0]
    with Image.open(source) as before:
        unchanged = np.asarray(before).astype(int)
        exact = ImageCms.profileToProfile(
            before,
            ImageCms.ImageCmsProfile(BytesIO(wide_gamut_profile())),
            ImageCms.createProfile("sRGB"),
        )
    assert np.abs(pixels["print"] - np.asarray(exact)).mean() < 1.5
    assert np.abs(pixels["print"] - unchanged).mean() > 4
