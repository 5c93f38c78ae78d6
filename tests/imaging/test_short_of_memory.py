"""Out of memory is not "its data are broken", whatever a codec calls it."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Final

import pytest
from PIL import Image
from toolkit.pictures import saved

from imgbatch.errors import MORE_MEMORY, PictureError, is_short_of_memory
from imgbatch.executors import raised
from imgbatch.imaging import decode, memory, room
from imgbatch.imaging.opening import Rules, reading
from imgbatch.operations.base import blamed
from imgbatch.operations.geometry import Resize, SizeSpec

TOLD: Final[list[Exception]] = [
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError("out of memory error when reading image file"),
    RuntimeError("Failed to decode frame 0: Out of memory"),
    RuntimeError("Pixel allocation failed: Out of memory"),
    RuntimeError("Memory allocation error: Unspecified: Allocating 12000015 bytes failed"),
    ImportError("libpng16.so: failed to map segment from shared object"),
    ImportError("libc.so: cannot allocate memory in static TLS block"),
    ValueError("std::bad_alloc"),
    SystemError("Insufficient memory (case 4)"),
]
NOT: Final[list[Exception]] = [
    OSError("broken data stream when reading image file"),
    ValueError("Memory allocation error: Security limit exceeded: Allocating 9 GB"),
    zlib.error("Error -3 while decompressing data: invalid block type"),
    OSError(errno.ENOENT, "No such file or directory"),
]


def outcome(error: Exception) -> PictureError:
    with pytest.raises(PictureError) as found, reading("decode", Rules(9)):
        raise error
    return found.value


@pytest.mark.parametrize("error", TOLD, ids=repr)
def test_every_message_for_lack_of_memory_is_recognised(error: Exception) -> None:
    failure = outcome(error).failure
    assert (failure.stage, failure.kind) == ("decode", "memory")
    assert failure.message == f"not enough memory to decode it: {MORE_MEMORY}"
    assert "--memory" in MORE_MEMORY
    assert "--jobs" in MORE_MEMORY
    with pytest.raises(MemoryError), blamed(Resize(SizeSpec.parse("9"))):
        raise error
    assert raised(error)[0] == "memory"


@pytest.mark.parametrize("error", NOT, ids=repr)
def test_other_messages_are_not_mistaken_for_it(error: Exception) -> None:
    assert outcome(error).failure.kind != "memory"
    assert raised(error)[0] == "raised"


def test_error_caused_by_one_counts_too() -> None:
    error = ValueError("no luck")
    error.__context__ = OSError("nor here")
    error.__context__.__cause__ = MemoryError()
    assert is_short_of_memory(error)
    error.__suppress_context__ = True
    assert not is_short_of_memory(error)
    error.__context__ = error
    error.__suppress_context__ = False
    assert not is_short_of_memory(error)


def test_failure_is_broken_data_if_there_was_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libjpeg gives the same message for both."""
    whole = saved(Image.linear_gradient("L").resize((400, 300)).convert("RGB"), "JPEG")
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[: len(whole) // 2])
    asked: list[int] = []

    def is_there(length: int) -> bool:
        asked.append(length)
        return length < 1_000_000

    def kind(salvage: bool = False) -> str:
        with pytest.raises(PictureError) as found:
            decode.decode(f"{path}", lambda size: size, salvage=salvage)
        return found.value.failure.kind

    assert kind() == "truncated"
    monkeypatch.setattr(room, "is_there", is_there)
    assert (kind(), kind(salvage=True)) == ("memory", "memory")
    assert all(length > 4 * 400 * 300 for length in asked)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0"}], ids=["VP8", "VP8L", "VP8X"]
)
def test_memory_to_open_a_webp_is_known_from_its_header(
    tmp_path: Path, options: dict[str, object]
) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(saved(Image.new("RGB", (3000, 2000)), "WEBP", **options))
    canvases = 8 * 3000 * 2000
    assert canvases < memory.opening(f"{path}") < canvases + 40_000_000


ATTEMPTS: Final = r"""
import json, os, resource, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
from imgbatch.running import worker
from imgbatch.imaging import formats
from imgbatch.model import Job, Limits, Run, Source, Target
from imgbatch.recipes.recipe import Recipe

folder, names, steps = sys.argv[1], sys.argv[2].split(), sys.argv[3].split()
formats.available(formats.BY_NAME["avif"])
try:
    import imagecodecs, pillow_heif
except ImportError:
    pass
os.makedirs(f"{folder}/.imgbatch", exist_ok=True)
recipe = Recipe.from_options(sizes=["800"], format="jpeg")
target = Target("800", folder, "out.jpg", replace=True)
run = Run("word", folder, Limits(memory=1 << 34))

def attempt(name, step):
    worker.tune_process()
    state = os.stat(f"{folder}/{name}")
    source = Source(folder, name, state.st_size, state.st_mtime_ns)
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + step * 1_000_000,) * 2)
    result = worker.process(Job(source, (target,), 1), 1.0, recipe, run)
    return result.failure.kind if result.failure else result.status

for name in names:
    for step in map(int, steps):
        there, here = os.pipe()
        if not os.fork():
            os.write(here, attempt(name, step).encode())
            os._exit(0)
        os.close(here)
        told = os.read(there, 99).decode()
        os.close(there)
        _, status = os.wait()
        print(json.dumps([name, step, told, status]))
"""


FILES: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "a.jpg": ("JPEG", {"progressive": True}),
    "a.png": ("PNG", {"compress_level": 1}),
    "a.webp": ("WEBP", {"method": 0}),
    "a.avif": ("AVIF", {"speed": 10}),
    "a.jp2": ("JPEG2000", {}),
    "a.bmp": ("BMP", {}),
    "a.tif": ("TIFF", {"compression": "tiff_lzw"}),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is held by Linux")
def test_shrinking_memory_always_gives_the_memory_error(tmp_path: Path) -> None:
    for name, (format_name, options) in FILES.items():
        size = (1000, 750) if format_name == "JPEG2000" else (2000, 1500)
        image = Image.merge("RGB", [Image.linear_gradient("L").resize(size)] * 3)
        (tmp_path / name).write_bytes(saved(image, format_name, **options))
    steps = "6 10 14 18 22 28 38 60 900"
    # One process for all files: loading the codecs takes longer than most attempts.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ATTEMPTS, tmp_path, " ".join(FILES), steps],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    every = [json.loads(line) for line in done.stdout.splitlines()]
    for name in FILES:
        rows = [row[1:] for row in every if row[0] == name]
        assert len(rows) == len(steps.split()), name
        assert {told for _, told, _ in rows} <= {"memory", "done"}, (name, rows)
        assert {status for *_, status in rows} == {0}, (name, rows)
        assert rows[0][1] == "memory", name
        assert rows[-1][1] == "done", name
