"""GIF: colours, transparency and what changes from frame to frame, read back by Pillow."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from toolkit import pictures, programs
from toolkit.pictures import opened, saved

from imgbatch.imaging.containers import gif
from imgbatch.imaging.encode import encode
from imgbatch.imaging.picture import Picture
from imgbatch.imaging.series import gif_frames
from imgbatch.model import Encoding

Pixels = NDArray[np.uint8]
SIZE: Final = (160, 120)


def image(pixels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels, np.uint8))


def shown(data: bytes) -> list[Pixels]:
    """Every frame as Pillow composes it, RGBA."""
    moving = opened(data)
    frames = []
    for number in range(getattr(moving, "n_frames", 1)):
        moving.seek(number)
        frames.append(np.asarray(moving.convert("RGBA")))
    return frames


def psnr(one: NDArray[Any], other: NDArray[Any]) -> float:
    error = np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float(10 * np.log10(255**2 / error))


def blurred(pixels: Pixels) -> Pixels:
    """As seen from a distance, where dots blend."""
    return np.asarray(image(pixels[..., :3]).filter(ImageFilter.GaussianBlur(2)))


def photo(size: tuple[int, int] = SIZE) -> Pixels:
    return pictures.scene(*size)


def smooth(rng: np.random.Generator) -> Pixels:
    """Clouds of all colours."""
    clouds = image(rng.integers(0, 256, (12, 16, 3)))
    return np.asarray(clouds.resize(SIZE, Image.Resampling.BICUBIC))


def colourful(count: int, size: tuple[int, int] = SIZE) -> Pixels:
    """A picture of exactly `count` colours, some of which occur once."""
    rng = np.random.default_rng(count)
    palette = rng.permutation(np.unique(rng.integers(0, 2**24, 2 * count)))[:count]
    numbers = rng.integers(0, count, size[0] * size[1])
    numbers[:count] = np.arange(count)
    values = palette[numbers].reshape(size[1], size[0])
    return np.dstack([values >> 16, values >> 8 & 255, values & 255]).astype(np.uint8)


# Colours


@pytest.mark.parametrize("count", [1, 2, 3, 200, 255, 256])
@pytest.mark.parametrize("dither", [True, False])
def test_256_colours_or_fewer_are_kept(count: int, dither: bool) -> None:
    pixels = colourful(count)
    result = encode(Picture.of(image(pixels)), Encoding(format="gif", dither=dither))
    assert np.array_equal(np.asarray(opened(result.data).convert("RGB")), pixels)


def test_every_grey_level_is_kept() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    result = encode(Picture.of(image(ramp)), Encoding(format="gif"))
    assert np.array_equal(np.asarray(opened(result.data).convert("L")), ramp)


@pytest.mark.parametrize("count", [255, 254, 1])
def test_255_colours_are_kept_next_to_transparency(count: int) -> None:
    pixels = np.dstack([colourful(count), np.full(SIZE[::-1], 255, np.uint8)])
    pixels[40:60, 30:90, 3] = 0
    (seen,) = shown(gif_frames.encode([image(pixels)]))
    opaque = pixels[..., 3] > 0
    assert np.array_equal(seen[..., 3] > 0, opaque)
    assert np.array_equal(seen[opaque], pixels[opaque])


def test_photo_is_closer_to_its_source_than_with_pillows_palette() -> None:
    """Both seen from a distance, and pixel by pixel although it is dithered."""
    pixels = smooth(np.random.default_rng(2))
    (ours,) = shown(gif_frames.encode([image(pixels)]))
    (theirs,) = shown(saved(pixels, "GIF"))
    assert psnr(blurred(ours), blurred(pixels)) > psnr(blurred(theirs), blurred(pixels)) + 3
    assert psnr(ours[..., :3], pixels) > psnr(theirs[..., :3], pixels)


@pytest.mark.slow
def test_dithering_mixes_and_without_it_pixels_are_nearest() -> None:
    across = np.linspace(0, 255, 320)
    levels = np.stack([np.tile(across, (240, 1))] * 3, axis=-1)
    levels[..., 1] = np.linspace(0, 255, 240)[:, None]
    slope: Pixels = np.rint(levels).astype(np.uint8)
    (mixed,) = shown(gif_frames.encode([image(slope)], dither=True))
    (plain,) = shown(gif_frames.encode([image(slope)], dither=False))
    assert psnr(blurred(mixed), blurred(slope)) > psnr(blurred(plain), blurred(slope)) + 3
    assert psnr(plain[..., :3], slope) > psnr(mixed[..., :3], slope) + 1
    # Bands: without dithering, the colour changes at few places in a row.
    assert np.any(np.diff(plain[7].astype(int), axis=0), axis=1).sum() < 60
    assert np.any(np.diff(mixed[7].astype(int), axis=0), axis=1).sum() > 120


# Transparency


def test_alpha_is_cut_at_half_and_one_index_is_transparent() -> None:
    alpha = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
    pixels = np.dstack([photo((256, 8)), alpha])
    data = gif_frames.encode([image(pixels)])
    (seen,) = shown(data)
    assert np.array_equal(seen[..., 3], np.where(alpha >= 128, 255, 0))
    (block,) = gif.read(data).frames
    numbers = np.asarray(opened(data))
    assert set(numbers[alpha < 128].tolist()) == {block.transparent}
    assert block.transparent not in numbers[alpha >= 128]
    # No fringe: opaque pixels have their own colour, not one mixed with their surroundings.
    assert psnr(seen[:, 128:, :3], pixels[:, 128:, :3]) > 36


def test_invisible_colours_make_no_difference() -> None:
    first = np.dstack([photo(), np.full(SIZE[::-1], 255, np.uint8)])
    first[30:80, 20:100, 3] = 100
    second = first.copy()
    second[30:80, 20:100, :3] = np.random.default_rng(3).integers(0, 256, (50, 80, 3))
    assert gif_frames.encode([image(first)]) == gif_frames.encode([image(second)])


@pytest.mark.parametrize("alpha", [0, 127])
def test_fully_transparent_picture_is_written(alpha: int) -> None:
    (seen,) = shown(gif_frames.encode([Image.new("RGBA", (9, 5), (200, 10, 10, alpha))]))
    assert not seen[..., 3].any()


# Frames


def moving_square(background: Pixels, steps: int = 5) -> list[Pixels]:
    frames = []
    for step in range(steps):
        frame = background.copy()
        frame[20 + 9 * step : 45 + 9 * step, 15 + 17 * step : 50 + 17 * step] = (
            *(230 - 30 * step, 40, 20 + 40 * step),
            255,
        )[: background.shape[2]]
        frames.append(frame)
    return frames


def test_pixels_are_cleared_where_a_frame_becomes_transparent() -> None:
    given = moving_square(np.zeros((*SIZE[::-1], 4), np.uint8))
    data = gif_frames.encode([image(one) for one in given], [50] * 5, plays=0)
    for seen, meant in zip(shown(data), given, strict=True):
        assert np.array_equal(seen[..., 3], meant[..., 3])
        assert np.array_equal(seen[meant[..., 3] > 0], meant[meant[..., 3] > 0])


def test_static_part_that_disappears_is_cleared() -> None:
    """It is outside the box of changes of the frame before."""
    one = np.zeros((*SIZE[::-1], 4), np.uint8)
    one[100:115, 130:150] = (10, 200, 30, 255)
    two = one.copy()
    two[5:20, 5:20] = (200, 20, 30, 255)
    three = two.copy()
    three[100:115, 130:150] = 0
    given = [one, two, three]
    data = gif_frames.encode([image(one) for one in given], [50] * 3, plays=0)
    for seen, meant in zip(shown(data), given, strict=True):
        assert np.array_equal(seen[..., 3], meant[..., 3])
        assert np.array_equal(seen[meant[..., 3] > 0], meant[meant[..., 3] > 0])


@pytest.mark.slow
def test_static_parts_do_not_flicker_when_new_colours_appear() -> None:
    """Also where each frame has its own palette."""
    rng = np.random.default_rng(4)
    given = []
    for tint in ((1, 0.1, 0.1), (0.1, 0.1, 1), (0.1, 1, 0.1)):
        frame = photo()
        frame[:, 40:] = (smooth(rng) * np.array(tint)).astype(np.uint8)[:, 40:]
        given.append(frame)
    data = gif_frames.encode([image(one) for one in given], [500] * 3)
    assert len({block.colours for block in gif.read(data).frames}) > 1
    first, *others = shown(data)
    for other in others:
        assert np.array_equal(other[:, :40], first[:, :40])


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0, 1])
def test_static_parts_do_not_flicker(noise: int) -> None:
    """Not even with the noise of a lossy source: a level or so from frame to frame."""
    rng = np.random.default_rng(5)
    still = photo()
    frames = moving_square(still)
    given = [
        np.clip(one + rng.integers(-noise, noise + 1, one.shape), 0, 255).astype(np.uint8)
        for one in frames
    ]
    seen = shown(gif_frames.encode([image(one) for one in given], [50] * 5))
    assert len(seen) == 5
    before = np.zeros(SIZE[::-1], bool)
    for one, meant in zip(seen, frames, strict=True):
        before |= np.any(meant != still, axis=2)
        assert np.array_equal(one[~before], seen[0][~before])
        assert psnr(one[..., :3], meant) > 33


@pytest.mark.slow
def test_small_changes_do_not_accumulate_unseen() -> None:
    """A slow fade, each step of which is below what is taken for noise."""
    given = [np.clip(photo().astype(int) + 2 * step, 0, 255) for step in range(12)]
    seen = shown(gif_frames.encode([image(one) for one in given], [50] * 12))
    assert len(seen) == 12
    for one, meant in zip(seen, given, strict=True):
        assert psnr(blurred(one), blurred(meant.astype(np.uint8))) > 36


@pytest.mark.slow
def test_different_scene_gets_its_own_palette() -> None:
    rng = np.random.default_rng(1)
    tints = np.array([(1, 0.2, 0.1), (0.1, 0.3, 1), (0.2, 1, 0.2), (1, 1, 0.1)])
    scenes = [(smooth(rng) * tint).astype(np.uint8) for tint in tints]
    alone = [shown(gif_frames.encode([image(one)]))[0] for one in scenes]
    seen = shown(gif_frames.encode([image(one) for one in scenes], [500] * 4))
    for one, best, meant in zip(seen, alone, scenes, strict=True):
        assert psnr(one[..., :3], meant) > psnr(best[..., :3], meant) - 2


def test_similar_frames_share_one_palette() -> None:
    big = photo((260, 200))
    frames = [image(big[step : step + 120, step : step + 160]) for step in range(0, 60, 10)]
    found = gif.read(gif_frames.encode(frames, [40] * 6))
    assert len({block.colours for block in found.frames}) == 1


def test_identical_frames_are_merged_and_their_durations_added() -> None:
    first, second = image(photo()), image(photo()[::-1])
    data = gif_frames.encode([first, first, second, second, first], [10, 20, 30, 40, 50])
    assert [block.delay for block in gif.read(data).frames] == [3, 7, 5]


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ([40, 40], [4, 4]),
        ([0, 10], [0, 1]),
        ([16.667] * 6, [2, 1, 2, 2, 1, 2]),
        ([33, 33, 34], [3, 4, 3]),
        ([4, 4, 4, 8], [1, 1, 1, 1]),
    ],
)
def test_durations_are_rounded_so_that_their_sum_is_right(
    durations: Sequence[float], expected: Sequence[int]
) -> None:
    told = gif_frames.delays(durations)
    assert told == list(expected)
    # Half a hundredth at most, and the minimum given to frames that would have none.
    given = sum(1 for one in durations if 0 < one < 5)
    assert abs(sum(told) - sum(durations) / 10) <= 0.5 + given


def test_frame_can_last_longer_than_the_field_allows() -> None:
    frames = [image(photo()), image(photo()[::-1])]
    data = gif_frames.encode(frames, [1_400_000, 500])
    blocks = gif.read(data).frames
    assert [block.delay for block in blocks] == [65_535, 65_535, 8_930, 50]
    seen = shown(data)
    assert np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[0], seen[2])
    assert not np.array_equal(seen[0], seen[3])


@pytest.mark.slow
@pytest.mark.parametrize("plays", [0, 1, 2, 7, 100_000])
def test_loop_count(plays: int) -> None:
    """NETSCAPE2.0 counts the repeats after the first time; without it there is none."""
    frames = [image(photo()), image(photo()[::-1])]
    data = gif_frames.encode(frames, [40, 40], plays=plays)
    loop = opened(data).info.get("loop")
    assert loop == {0: 0, 1: None, 2: 1, 7: 6, 100_000: 65_535}[plays]
    assert gif.read(data).plays == min(plays, 65_536)


def test_comment_of_any_length_is_kept() -> None:
    words = "Ada Licht: " + "Ufer " * 200
    data = gif_frames.encode([image(photo())], comment=words.encode())
    assert opened(data).info["comment"] == words.encode()


@pytest.mark.slow
@pytest.mark.external("gifsicle")
def test_another_program_finds_no_fault(tmp_path: Path) -> None:
    given = moving_square(np.zeros((*SIZE[::-1], 4), np.uint8))
    data = gif_frames.encode([image(one) for one in given], [50, 60, 70, 80, 90], plays=3)
    (tmp_path / "a.gif").write_bytes(data)
    done = subprocess.run(
        [programs.path_of("gifsicle"), "--info", str(tmp_path / "a.gif")],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert done.stderr == ""
    assert "5 images" in done.stdout
    assert "loop count 2" in done.stdout
    assert "logical screen 160x120" in done.stdout
    for delay in ("0.05s", "0.06s", "0.07s", "0.08s", "0.09s"):
        assert f"delay {delay}" in done.stdout
    # All but the last are cleared; the palette is stored once.
    assert done.stdout.count("disposal background") == 4
    assert done.stdout.count("local color table") == 0
