"""Wheels with the native decoder and without, from stand-ins for cargo; and scripts/setup."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import pytest
from toolkit import ROOT

NATIVE: Final = Path("imgbatch", "native")
# Enough for a wheel.
FILES: Final = (
    *("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"),
    *("imgbatch/__init__.py", "imgbatch/imaging/filters/fonts/OFL.txt", "scripts/setup"),
    *(f"{NATIVE}/{name}" for name in ("Cargo.toml", "Cargo.lock", "src/lib.rs")),
)
BUILD: Final = "from hatchling import build; print(build.build_{}('dist'))"
# An editable wheel is not built to its end, which takes one more package.
EDITABLE: Final = """
from hatchling.builders.wheel import WheelBuilder
WheelBuilder(".").get_build_hooks("dist")["custom"].initialize("editable", {"artifacts": []})
print("none")
"""

# It writes what is asked for: `--target-dir` is the last of its options.
WORKING: Final = """#!/bin/sh
for target; do :; done
mkdir -p "$target/release"
for name in libimgbatch_native.so libimgbatch_native.dylib imgbatch_native.dll; do
    echo "built by $*" >"$target/release/$name"
done
"""
FAILING: Final = "#!/bin/sh\necho 'error: rustc is too old' >&2\nexit 1\n"
PYTHON: Final = """#!/bin/sh
case "$*" in *'install --editable'*) echo installed ;; esac
case "$*" in *'-m venv'*) mkdir -p .venv/bin ;; esac
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stand-ins are shell scripts")


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "project" / name)
    return tmp_path / "project"


def built(project: Path, what: str = "wheel", **environment: str) -> Path:
    run = subprocess.run(
        [sys.executable, "-c", EDITABLE if what == "editable" else BUILD.format(what)],
        cwd=project,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return project / "dist" / run.stdout.splitlines()[-1]


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if name.startswith(NATIVE.as_posix())]


def test_wheel_has_the_library_and_is_for_this_platform(project: Path) -> None:
    path = program(project.parent / "bin", "cargo", WORKING)
    wheel = built(project, PATH=f"{path}:{os.environ['PATH']}", CARGO_BUILD_TARGET="other")
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    (library,) = names(wheel)
    assert "imgbatch_native" in library
    with zipfile.ZipFile(wheel) as archive:
        assert b"--locked --offline" in archive.read(library)


@pytest.mark.parametrize("cargo", ["lacking", "failing", "not wanted"])
def test_without_cargo_the_wheel_is_plain_python(project: Path, cargo: str) -> None:
    """Whatever was built before, from other sources, is not in it, and not used either."""
    old = project / NATIVE / "libimgbatch_native.so"
    old.write_bytes(b"of yesterday")
    folder = project.parent / "bin"
    folder.mkdir()
    environment = {"PATH": str(folder)}
    if cargo != "lacking":
        program(folder, "cargo", FAILING if cargo == "failing" else WORKING)
        environment["PATH"] += f":{os.environ['PATH']}"
    if cargo == "not wanted":
        environment["IMGBATCH_NATIVE"] = "0"
    wheel = built(project, **environment)
    assert wheel.name.endswith("-py3-none-any.whl")
    assert names(wheel) == []
    # A development installation goes on with what it has.
    assert old.exists()
    built(project, "editable", **environment)
    assert old.exists() == (sys.platform == "darwin")


def test_sdist_has_the_sources(project: Path) -> None:
    (project / NATIVE / "target").mkdir()
    (project / NATIVE / "target" / "libimgbatch_native.so").touch()
    (project / NATIVE / "libimgbatch_native.so").touch()
    with tarfile.open(built(project, "sdist")) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    assert {"hatch_build.py", "imgbatch/native/Cargo.lock", "imgbatch/native/src/lib.rs"} <= found
    assert not any(name.endswith(".so") for name in found)


def test_setup_installs_again_if_sources_or_cargo_changed(project: Path) -> None:
    folder = program(project.parent / "bin", "python3", PYTHON)
    tools = Path(shutil.which("find") or "").parent
    for name in ("bash", "cat", "dirname", "find", "mkdir", "sh", "touch"):
        (folder / name).symlink_to(shutil.which(name) or tools / name)

    def said(**environment: str) -> str:
        run = subprocess.run(
            ["scripts/setup"],
            cwd=project,
            env={"PATH": str(folder), **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stderr == ""
        return run.stdout

    def touch(name: str) -> None:
        later = (project / ".venv" / "installed-plain").stat().st_mtime + 10
        os.utime(project / name, (later, later))

    assert said() == "installed\n"
    assert said() == ""
    program(folder, "cargo", FAILING)
    # It is tried once.
    assert said() == "installed\n"
    assert said() == ""
    touch(f"{NATIVE}/src/lib.rs")
    assert said() == "installed\n"
    os.utime(project / NATIVE / "src" / "lib.rs", (0, 0))
    assert said() == ""
    assert said(IMGBATCH_NATIVE="0") == "installed\n"
    assert said(IMGBATCH_NATIVE="0") == ""
