"""`imgbatch doctor` tells what is there, and notices what does not work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image, features
from toolkit.commands import imgbatch, imgbatch_here

import imgbatch as library
from imgbatch.executors import crew
from imgbatch.imaging import formats, self_test
from imgbatch.imaging.decode import decode_bytes
from imgbatch.imaging.picture import Picture
from imgbatch.operations import names
from imgbatch.operations.checks import properties


def test_all_is_well_here(tmp_path: Path) -> None:
    run = imgbatch("doctor", cwd=tmp_path)
    told = run.stdout.decode()
    assert (run.returncode, run.stderr) == (0, b""), told
    lines = {" ".join(line.split()) for line in told.splitlines()}
    assert f"pillow {PIL.__version__}" in lines
    assert f"numpy {np.__version__}" in lines
    assert any(line.startswith(f"imgbatch {library.__version__} in ") for line in lines)
    assert any(line.startswith("jpg libjpeg-turbo ") for line in lines)
    assert any(line.startswith("heif HEIC: pillow-heif ") for line in lines)
    assert any(line.startswith("workers start by ") for line in lines)
    assert "FAILED" not in told
    (tried,) = (line for line in lines if line.startswith("operations "))
    assert set(tried.partition("work: ")[2].split(", ")) == set(names())
    (tried,) = (line for line in lines if line.startswith("formats "))
    assert set(formats.WRITABLE) < set(tried.partition("work: ")[2].split(", "))
    assert list(tmp_path.iterdir()) == []


def doctor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """The exit code, and what failed."""
    monkeypatch.setattr(crew, "warm_up", lambda: None)
    run = imgbatch_here("doctor", cwd=folder)
    lines = run.stdout.decode().splitlines()
    assert run.stderr == b""
    failed = [line.split(maxsplit=1)[1] for line in lines if line.startswith("  FAILED")]
    assert (lines[-1] == "All is well.") == (not failed)
    return run.returncode, failed


def test_wrong_pixels_and_errors_are_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(file: Any) -> Image.Image:
        return Image.open(file, formats=("QOI",)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    def broken(*_: Any) -> Picture:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(formats.codec(formats.BY_NAME["qoi"]), "open", shifted)
    monkeypatch.setattr(names()["invert"], "apply", broken)
    code, failed = doctor(tmp_path, monkeypatch)
    assert code == 1
    assert len(failed) == 2
    assert failed[0].startswith("format qoi: ")
    assert failed[1] == "operation invert: RuntimeError: no such luck"


def test_library_that_all_need_may_be_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> dict[str, str]:
        raise ImportError("libjpeg.so.62: cannot open shared object file")

    monkeypatch.setattr(self_test, "versions", broken)
    monkeypatch.setattr(self_test, "codecs", lambda: iter(()))
    monkeypatch.setattr(properties, "operations", lambda: iter(()))
    code, failed = doctor(tmp_path, monkeypatch)
    assert (code, failed) == (1, ["ImportError: libjpeg.so.62: cannot open shared object file"])


def test_format_that_pillow_lacks_is_told_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = features.check
    monkeypatch.setattr(features, "check", lambda name: name != "jpg_2000" and check(name))
    monkeypatch.setattr(properties, "operations", lambda: iter(()))
    monkeypatch.setattr(crew, "warm_up", lambda: None)
    run = imgbatch_here("doctor", cwd=tmp_path)
    assert run.returncode == 0
    lines = [" ".join(line.split()) for line in run.stdout.decode().splitlines()]
    assert "jpeg2000 not available: this installation's Pillow was built without JPEG 2000" in lines
    assert not any("jpeg2000" in line for line in lines if line.startswith("formats"))


@pytest.mark.slow
def test_broken_extra_is_shown(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "rawpy.py").write_text("raise ImportError('libraw.so: no such file')\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "broken")}
    run = imgbatch("doctor", cwd=tmp_path, env=env)
    failed = [line for line in run.stdout.decode().splitlines() if "FAILED" in line]
    assert run.returncode == 1
    assert len(failed) == 1
    assert "format raw" in failed[0]
    assert "libraw.so: no such file" in failed[0]


@pytest.mark.parametrize("change", ["swapped", "cropped", "darker"])
def test_every_codec_that_returns_other_pixels_is_noticed(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    def wrong(data: bytes, name: str) -> Picture:
        red, green, blue = decode_bytes(data, name).image.convert("RGB").split()
        image = Image.merge(
            "RGB", (blue, green, red) if change == "swapped" else (red, green, blue)
        )
        if change == "cropped":
            image = image.crop((0, 0, image.width - 1, image.height))
        if change == "darker":
            image = image.point(lambda level: level * 0.8)
        return Picture.of(image)

    monkeypatch.setattr(self_test, "decode_bytes", wrong)
    checks = {check.name: check.failure for check in self_test.codecs()}
    assert all(checks[name] for name in formats.WRITABLE)
    assert checks["raw (only loaded)"] == ""


def test_there_is_a_property_for_every_operation() -> None:
    own = {name for name, kind in names().items() if kind.__module__.startswith("imgbatch.")}
    assert set(properties.PROPERTIES) == own


@pytest.mark.parametrize("name", properties.PROPERTIES)
def test_operation_that_does_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(names()[name], "apply", lambda self, picture: picture)
    assert properties.operation(name).failure.startswith(("expected ", "its result has "))
