"""Several outputs from one decode: which picture each starts from, and all or none of them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from toolkit.commands import imgbatch
from toolkit.folders import plant
from toolkit.pictures import opened, saved, scene

import imgbatch as package
from imgbatch.model import Kernel
from imgbatch.operations.geometry import Resize, SizeSpec
from imgbatch.recipes.recipe import Recipe, Start

Pixels = NDArray[np.uint8]


def noise() -> Pixels:
    """The worst case: every pixel is random."""
    chance = np.random.RandomState(11)
    return chance.randint(0, 256, (400, 600, 3)).astype(np.uint8)


def zone_plate() -> Pixels:
    """Rings of all frequencies in unnatural colours."""
    y, x = np.mgrid[0:400, 0:600].astype(np.float64)
    rings: NDArray[np.float64] = 127.5 + 127.5 * np.cos((x * x + y * y) * (math.pi / 750))
    layers = [rings, 255 - rings, np.roll(rings, 5, 1)]
    return np.rint(np.stack(layers, axis=-1)).astype(np.uint8)


def letters() -> Pixels:
    """Black marks on white, whose overshoots are clipped on resampling."""
    return np.where(noise()[..., :1] < 60, 0, 255).astype(np.uint8).repeat(3, axis=2)


PICTURES: Final = {"noise": noise, "zone plate": zone_plate, "letters": letters}


def made(folder: Path, sizes: list[str], **options: Any) -> dict[str, Pixels]:
    recipe = Recipe.from_options(sizes=sizes, template="{output}{ext}", **options)
    out = folder / "-".join(sizes)
    (result,) = package.run(recipe, [folder / "a.png"], output=out, jobs=1)
    assert result.status == "done", result
    return {one.output: np.array(opened(Path(one.path).read_bytes())) for one in result.written}


# Each has its own margin, so that a picture that is just large enough is tested.
THRESHOLDS: Final = {
    "lanczos": ["500", "200", "80", "32"],
    "bicubic": ["500", "200", "80", "32"],
    "mitchell": ["540", "180", "60", "20"],
}


@pytest.mark.slow
@pytest.mark.parametrize("kernel", THRESHOLDS)
@pytest.mark.parametrize("kind", PICTURES)
def test_output_started_from_a_larger_one_is_within_a_level_of_the_direct_way(
    tmp_path: Path, kind: str, kernel: Kernel
) -> None:
    (tmp_path / "a.png").write_bytes(saved(PICTURES[kind](), "PNG"))
    sizes = THRESHOLDS[kernel]
    assert [base for _, base in starts(*sizes, kernel=kernel)] == [None, *sizes[:-1]]
    together = made(tmp_path, sizes, kernel=kernel)
    for size in sizes:
        direct = made(tmp_path, [size], kernel=kernel)[size]
        assert together[size].shape == direct.shape
        difference = together[size].astype(np.float64) - direct
        assert np.sqrt(np.mean(difference**2)) <= 1, size


def starts(*sizes: str, **options: Any) -> list[tuple[str, str | None]]:
    """Each output and the one it starts from, in the order they are made."""
    recipe = Recipe.from_options(sizes=sizes, **options)
    names = [output.name for output in recipe.outputs]
    return [
        (names[start.output], None if start.base is None else names[start.base])
        for start in recipe.starts((6000, 4000))
    ]


@pytest.mark.parametrize(
    ("sizes", "options", "expected"),
    [
        (["2400"], {}, [("2400", None)]),
        (["320", "2400"], {}, [("2400", None), ("320", "2400")]),
        (
            ["2400", "1600", "800", "320"],
            {},
            [("2400", None), ("1600", None), ("800", "2400"), ("320", "800")],
        ),
        (["1600", "641"], {}, [("1600", None), ("641", None)]),
        (["2000", "800"], {"kernel": "bicubic"}, [("2000", None), ("800", "2000")]),
        (["2000", "801"], {"kernel": "bicubic"}, [("2000", None), ("801", None)]),
        (["2400", "800"], {"kernel": "mitchell"}, [("2400", None), ("800", "2400")]),
        (["2400", "801"], {"kernel": "mitchell"}, [("2400", None), ("801", None)]),
        (["2400", "10"], {"kernel": "box"}, [("2400", None), ("10", None)]),
        (["2400", "10"], {"kernel": "nearest"}, [("2400", None), ("10", None)]),
        # A crop or a padded picture does not hold the whole picture.
        (
            ["3000x3000", "100x100"],
            {"fit": "cover"},
            [("3000x3000", None), ("100x100", None)],
        ),
        (["3000x3000", "100"], {"fit": "pad"}, [("3000x3000", None), ("100", None)]),
        # Enlarged pixels add no detail.
        (["9000", "100"], {"enlarge": True}, [("9000", None), ("100", None)]),
        (["9000", "100"], {}, [("9000", None), ("100", "9000")]),
        (["2400", "200"], {"filters": ["sharpen"]}, [("2400", None), ("200", "2400")]),
        (["2400", "200"], {"filters": ["sharpen", "resize"]}, [("2400", None), ("200", None)]),
    ],
)
def test_output_starts_from_the_smallest_that_is_large_enough(
    sizes: list[str], options: dict[str, Any], expected: list[tuple[str, str | None]]
) -> None:
    assert starts(*sizes, **options) == expected


def test_different_kernels_and_light_do_not_share_a_start() -> None:
    large = Resize(SizeSpec(2400, 2400))
    assert Resize(SizeSpec(100, 100)).may_follow(large, (6000, 4000))
    assert not Resize(SizeSpec(100, 100), kernel="bicubic").may_follow(large, (6000, 4000))
    assert not Resize(SizeSpec(100, 100), linear=True).may_follow(large, (6000, 4000))


def test_output_knows_whether_others_may_start_from_it() -> None:
    recipe = Recipe.from_options(sizes=["200", "1600", "80"])
    assert recipe.starts((6000, 4000)) == (
        Start(1, None, serves=True),
        Start(0, 1, serves=True),
        Start(2, 0, serves=False),
    )


@pytest.mark.slow
def test_output_does_not_depend_on_which_others_are_made(tmp_path: Path) -> None:
    plant(tmp_path / "photos", "a.jpg", data=saved(scene(1200, 800), "JPEG", quality=95))
    words = ("-s", "l=800", "-s", "m=400", "-s", "s=60", "-f", "png", "-o", "out")
    assert imgbatch("resize", "photos", *words, cwd=tmp_path).returncode == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("out/*.png")}
    for lost in (["a-s.png"], ["a-m.png"], ["a-l.png", "a-s.png"]):
        for name in lost:
            (tmp_path / "out" / name).unlink()
        run = imgbatch("resize", "photos", *words, cwd=tmp_path)
        assert run.returncode == 0, run.stderr.decode()
        assert {path.name: path.read_bytes() for path in tmp_path.glob("out/*.png")} == before


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_outputs_of_a_turned_photo_are_upright_however_they_start(
    tmp_path: Path, orientation: int
) -> None:
    from toolkit.pictures import corners, exif_block, quarters, stored

    photo = saved(
        stored(quarters(1200, 800), orientation),
        "JPEG",
        quality=95,
        exif=b"Exif\0\0" + exif_block(orientation=orientation).block,
    )
    plant(tmp_path, "a.jpg", data=photo)
    recipe = Recipe.from_options(sizes=["600", "200", "90x90"], format="png")
    (result,) = package.run(recipe, [tmp_path / "a.jpg"], output=tmp_path / "out", jobs=1)
    pictures = [opened(Path(one.path).read_bytes()) for one in result.written]
    assert [picture.size for picture in pictures] == [(600, 400), (200, 133), (90, 60)]
    assert len({corners(picture) for picture in pictures}) == 1
    assert corners(pictures[0]) == corners(opened(saved(quarters(1200, 800), "PNG")))


@pytest.mark.slow
def test_all_outputs_of_a_file_are_published_or_none(tmp_path: Path) -> None:
    plant(tmp_path / "photos", "wide.png", data=saved(np.zeros((2, 17_000), np.uint8), "PNG"))
    plant(tmp_path / "photos", "b.png", data=saved(scene(), "PNG"))
    recipe = """
    [[output]]
    name = "large"
    [[output]]
    name = "small"
    size = 20
    [[output]]
    name = "web"
    format = "webp"
    """
    (tmp_path / "r.toml").write_text(recipe)
    run = imgbatch("run", "r.toml", "photos", "-o", "out", cwd=tmp_path)
    assert run.returncode == 1
    # WebP ends at 16,383 pixels.
    assert b"wide.png" in run.stderr
    assert sorted(os.listdir(tmp_path / "out")) == [
        *(".imgbatch", "b-large.png", "b-small.png", "b-web.webp"),
    ]
