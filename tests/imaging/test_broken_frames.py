"""Animations that are truncated, broken or too large."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit.animations import (
    GIFS,
    LAYERS,
    Part,
    apng_file,
    chunk,
    composed,
    decoded_frames,
    gif_file,
    off,
    rgba,
    run,
    source,
    table,
)
from toolkit.pictures import saved

from imgbatch.errors import PictureError
from imgbatch.imaging.decode import Demand

Pixels = NDArray[np.uint8]


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_salvage_keeps_the_whole_frames_of_a_truncated_animation(tmp_path: Path, kind: str) -> None:
    data = source(kind)
    whole = list(composed(data))
    cut = data[: len(data) * 14 // 15]
    failed = run(tmp_path, cut, f"a.{kind}", sizes=["60"])
    assert failed.failure is not None
    assert failed.failure.kind == "truncated"
    assert not (tmp_path / "out" / f"a.{kind}").exists()
    found = decoded_frames(tmp_path, cut, salvage=True)
    assert 2 <= len(found) < 6
    for frame, (image, _) in zip(found, whole, strict=False):
        assert off(frame.image, rgba(image)) == 0
    result = run(tmp_path, cut, f"a.{kind}", sizes=["60"], salvage=True)
    assert [one.kind for one in result.notices] == ["truncated"]
    assert len(list(composed(Path(result.written[0].path).read_bytes()))) == len(found)


def broken_frame(kind: str) -> bytes:
    """A complete file in which the pixel data of a later frame are invalid."""
    if kind == "gif":
        parts = GIFS["all kinds of disposal"]
        data = gif_file(parts, table())
        at = data.rindex(b"\x2c") + 11
        return data[:at] + b"\x02\x44\x01\0" + b";"
    data = apng_file(LAYERS)
    at = data.rindex(b"fdAT") + 8
    return data[: at - 12] + chunk(b"fdAT", data[at - 4 : at] + b"nonsense") + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["gif", "png"])
@pytest.mark.parametrize("salvage", [False, True])
def test_broken_frame_fails_the_whole_file(tmp_path: Path, kind: str, salvage: bool) -> None:
    result = run(tmp_path, broken_frame(kind), f"a.{kind}", sizes=["10"], salvage=salvage)
    assert result.status == "failed"
    assert result.failure is not None
    assert result.failure.stage == "decode"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".imgbatch"]


def test_too_many_pixels_in_all_frames_are_refused_before_decoding(tmp_path: Path) -> None:
    tiny = Part(np.zeros((1, 1), np.uint8))
    data = gif_file([tiny] * 3000, table(), size=(1000, 1000))
    with pytest.raises(PictureError) as caught:
        decoded_frames(tmp_path, data, max_pixels=180_000_000, admit=pytest.fail)
    assert caught.value.failure.kind == "too-large"
    for word in ("3000 frames", "3,000,000,000", "180,000,000"):
        assert word in caught.value.failure.message

    class EnoughError(Exception):
        pass

    def admit(demand: Demand) -> None:
        assert (demand.frames, demand.full_size) == (3000, (1000, 1000))
        raise EnoughError

    with pytest.raises(EnoughError):
        decoded_frames(tmp_path, data, max_pixels=190_000_000, admit=admit)


def test_frames_that_exceed_the_memory_together_are_refused(tmp_path: Path) -> None:
    tiny = Part(np.zeros((1, 1), np.uint8))
    data = gif_file([tiny] * 500, table(), size=(1000, 1000))
    memory = 1_000_000_000
    result = run(tmp_path, data, "a.gif", sizes=["900"], memory=memory)
    assert result.failure is not None
    assert (result.failure.stage, result.failure.kind) == ("open", "memory")
    still = run(tmp_path, data, "a.gif", sizes=["900"], format="jpeg", memory=memory)
    assert still.status == "done"


_MEASURED: Final = """
import sys
from pathlib import Path
import imgbatch
from imgbatch.imaging import decode
from imgbatch.imaging.series import gif_frames
from imgbatch.model import Limits
first, path, out, target, size = sys.argv[1:]
recipe = imgbatch.Recipe.from_options(format=target, sizes=[size])
def resident(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])
asked = []
# A small one for what is loaded only once.
for given in (first, path):
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    (result,) = imgbatch.run(recipe, [given], output=out, jobs=1)
    assert result.status == "done", result
every = lambda *asked: True
rules = decode.Rules(every=every)
with_all = decode.pictures(path, recipe.needed_size, rules, admit=asked.append)
next(with_all)
(demand,) = asked
working = recipe.working_bytes(
    demand.full_size, demand.decoded_size, demand.format, mode=demand.mode, frames=demand.frames
)
print(resident("VmHWM") - before, demand.bytes + working)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measured on Linux alone")
@pytest.mark.parametrize("target", ["gif", "png"])
def test_no_peak_exceeds_its_estimate(tmp_path: Path, target: str) -> None:
    rng = np.random.default_rng(0)
    for name, (down, across) in {"first": (40, 60), "a": (400, 600)}.items():
        levels = rng.integers(0, 256, (6, down, across, 3)).astype(np.uint8)
        frames = [Image.fromarray(frame) for frame in levels]
        data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:], compress_level=0)
        (tmp_path / f"{name}.png").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, "first.png", "a.png", "out", target, "580"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    peak, estimate = map(int, done.stdout.split())
    assert 0 < peak <= estimate
