"""External programs are identified by their output, not by their name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from toolkit import ROOT
from toolkit.programs import NEEDED, LackingError

GENUINE: Final = {
    "imagemagick": "Version: ImageMagick 6.9.11-60 Q16 x86_64 2021-01-25 https://imagemagick.org",
    "djpeg": "libjpeg-turbo version 2.1.5 (build 20230203)",
    "bash": "GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)",
    "fish": "fish, version 3.6.0",
    "groff": "GNU groff version 1.22.4",
    "zsh": "zsh 5.9 (x86_64-debian-linux-gnu)",
    "cargo": "cargo 1.91.1 (ea2d97820 2025-10-10)",
    "djxl": "djxl v0.7.0 [AVX2,SSE4,SSSE3,Unknown]",
    "exiftool": "12.57",
    "avifdec": "Version: 1.3.0 (dav1d [dec]:1.5.1, aom [enc/dec]:3.12.1)",
    "gifsicle": "LCDF Gifsicle 1.93",
    "heif-convert": " heif-convert  libheif version: 1.15.1",
    "jpegtran": "libjpeg-turbo version 2.1.5 (build 20230203)",
    "mount": "mount from util-linux 2.38.1 (libmount 2.38.1: selinux, smack, btrfs)",
    "setpriv": "setpriv from util-linux 2.38.1",
    "sh": "42",
    "strace": "strace -- version 6.1",
    "tiffinfo": "LIBTIFF, Version 4.5.0",
    "tificc": "Little CMS ICC profile applier for TIFF - v7.2 [LittleCMS 2.14]",
    "umount": "umount from util-linux 2.38.1 (libmount 2.38.1: selinux, smack, btrfs)",
    "unshare": "unshare from util-linux 2.38.1",
    "webpmux": "1.2.4",
}
"""The answers of those in Debian."""

FAILING: Final = "exit 1"
STAND_INS: Final = {
    FAILING: "ended with code 1 and said ''",
    "exit 0": "ended with code 0 and said ''",
    "echo Gimme an image, 12 or so": "said 'Gimme an image, 12 or so'",
    r"printf '\377\376\0\n'": "so it is another program",
    "echo convert: ImageMagick is not installed here; exit 1": "so it is another program",
}
HANGING: Final = "sleep 1000 & echo $! >$0.started; wait"


def script(folder: Path, name: str, body: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def stand_ins(folder: Path, body: str = FAILING) -> Path:
    """A folder with a script for each command that the tests call."""
    for program in NEEDED.values():
        for command in program.called:
            script(folder, command, body)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("body", STAND_INS)
@pytest.mark.parametrize("name", NEEDED)
def test_impostor_is_refused_with_what_was_found(tmp_path: Path, name: str, body: str) -> None:
    folder = stand_ins(tmp_path / "first", body)

    with pytest.raises(LackingError) as refused:
        NEEDED[name].find(str(folder))

    said = str(refused.value)
    package = f" (Debian: {NEEDED[name].package})" if NEEDED[name].package else ""
    assert said.startswith(f"{name}{package} is lacking: ")
    assert [command for command in NEEDED[name].called if f"{folder}/{command} " not in said] == []
    assert STAND_INS[body] in said


def test_hanging_impostor_is_killed_with_its_children(tmp_path: Path) -> None:
    hanging = script(tmp_path / "first", "exiftool", HANGING)
    started = Path(f"{hanging}.started")

    for patience in (0.2, 1, 5, 25):
        with pytest.raises(LackingError, match="did not answer within"):
            NEEDED["exiftool"].find(str(hanging.parent), patience)
        if started.exists() and started.read_text().endswith("\n"):
            break

    state = Path("/proc", started.read_text().strip(), "stat")
    end = time.monotonic() + 60
    while _lives(state) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _lives(state)


def _lives(state: Path) -> bool:
    """Whether a process is running; a dead one not yet reaped is a zombie."""
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_non_program_is_refused(tmp_path: Path) -> None:
    script(tmp_path / "a", "exiftool", "echo 12.57").chmod(0o644)
    (tmp_path / "b/exiftool").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/exiftool").write_bytes(b"\x7fELF of another processor")
    (tmp_path / "c/exiftool").chmod(0o755)
    path = os.pathsep.join(str(tmp_path / name) for name in ("a", "b", "c", "nothing"))

    with pytest.raises(LackingError) as refused:
        NEEDED["exiftool"].find(path)

    assert f"{tmp_path}/a/exiftool is not executable" in str(refused.value)
    assert f"{tmp_path}/b" not in str(refused.value)
    assert f"{tmp_path}/c/exiftool cannot be run: Exec format error" in str(refused.value)
    with pytest.raises(LackingError, match="no magick or convert on the PATH"):
        NEEDED["imagemagick"].find("")


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDED)
def test_genuine_program_behind_an_impostor_is_found(tmp_path: Path, name: str) -> None:
    first = stand_ins(tmp_path / "first")
    body = f"echo '{GENUINE[name]}'"
    behind = script(tmp_path / "behind", NEEDED[name].called[-1], body)

    assert NEEDED[name].find(f"{first}{os.pathsep}{behind.parent}") == str(behind)


def test_imagemagick_7_is_preferred_to_an_impostor_of_6(tmp_path: Path) -> None:
    answer = "echo 'Version: ImageMagick 7.1.1-43 Q16-HDRI x86_64 22550 https://imagemagick.org'"
    convert = script(tmp_path / "a", "convert", answer)
    magick = script(tmp_path / "b", "magick", answer)

    assert NEEDED["imagemagick"].find(f"{convert.parent}:{magick.parent}") == str(magick)


def test_working_folder_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "exiftool", "echo 12.57")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(LackingError, match="no exiftool on the PATH"):
        NEEDED["exiftool"].find(os.pathsep.join(("", ".")))


# As CI runs it


def asked(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", ROOT / "tests/toolkit/programs.py", *words],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_packages_of_missing_programs_are_named(tmp_path: Path) -> None:
    folder = stand_ins(tmp_path / "first")
    every = asked(folder, "--lacking")
    for name in set(NEEDED) - {"gifsicle", "tificc"}:
        script(folder, NEEDED[name].called[0], f"echo '{GENUINE[name]}'")
    two = asked(folder, "--lacking")

    packages = {program.package for program in NEEDED.values()} - {""}
    assert (every.returncode, two.returncode) == (0, 0)
    assert every.stdout.split() == sorted(packages)
    assert two.stdout == "gifsicle liblcms2-utils\n"


@pytest.mark.slow
def test_still_missing_program_is_an_error(tmp_path: Path) -> None:
    folder = stand_ins(tmp_path / "first")
    bad = asked(folder)
    for name in NEEDED:
        script(folder, NEEDED[name].called[0], f"echo '{GENUINE[name]}'")
    good, none = asked(folder), asked(folder, "--lacking")

    assert (bad.returncode, good.returncode) == (1, 0)
    assert bad.stdout.count(" is lacking: ") == len(NEEDED)
    assert f"exiftool: {folder}/exiftool\n" in good.stdout
    assert none.stdout.split() == []
