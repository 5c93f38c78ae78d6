"""Files named in options and recipes: regular ones, of a sensible size."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from toolkit.commands import COMMAND
from toolkit.commands import imgbatch as command
from toolkit.folders import SMALL

from imgbatch.imaging import limits
from imgbatch.store import regular

linux_alone = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")

RECIPE: Final = '[[output]]\nsize = "30"\n'


def words_for(kind: str, path: str, folder: Path) -> list[str]:
    """The command that reads the file at `path` as this kind."""
    after = ["in.jpg", "-o", "out"]
    if kind == "recipe":
        return ["run", path, *after]
    if kind == "profile":
        return ["convert", "-f", "jpeg", "--profile", path, *after]
    if kind == "profile in a recipe":
        text = f"[prepare]\nprofile = {path!r}\n{RECIPE}"
        (folder / "recipe.toml").write_text(text)
        return ["run", "recipe.toml", *after]
    operation = {
        "watermark": f"watermark:file={path}",
        "table": f"lut:file={path}",
        "font": f"text:text=a,font={path}",
    }[kind]
    return ["filter", "--filter", operation, *after]


KINDS: Final = ("recipe", "profile", "profile in a recipe", "watermark", "table", "font")


def pipe(folder: Path) -> str:
    os.mkfifo(folder / "it.toml")
    return "it.toml"


def device(folder: Path) -> str:
    return "/dev/zero"


def link(folder: Path) -> str:
    (folder / "it.toml").symlink_to("/dev/zero")
    return "it.toml"


def directory(folder: Path) -> str:
    (folder / "it.toml").mkdir()
    return "it.toml"


def a_socket(folder: Path) -> str:
    with socket.socket(socket.AF_UNIX) as bound:
        before = Path.cwd()
        os.chdir(folder)
        bound.bind("it.toml")
        os.chdir(before)
    return "it.toml"


def endless(folder: Path) -> str:
    with (folder / "it.toml").open("wb") as file:
        file.truncate(1 << 40)
    return "it.toml"


OTHERS: Final[dict[Callable[[Path], str], str]] = {
    pipe: "found a pipe",
    device: "found a device",
    link: "found a device",
    directory: "found a folder",
    a_socket: "found a socket",
    endless: "found a file of 1,099,511.6 MB",
}


def cases() -> Iterator[tuple[str, Callable[[Path], str]]]:
    """All for one kind, and for every kind those that would be waited for."""
    for kind in KINDS:
        for other in OTHERS:
            if kind == "profile" or other in (pipe, device):
                yield kind, other


@pytest.mark.slow
@linux_alone
@pytest.mark.parametrize(("kind", "other"), list(cases()))
def test_non_regular_file_is_refused_at_once(
    tmp_path: Path, kind: str, other: Callable[[Path], str]
) -> None:
    (tmp_path / "in.jpg").write_bytes(SMALL)
    done = command(*words_for(kind, other(tmp_path), tmp_path), cwd=tmp_path)
    said = done.stderr.decode()
    assert done.returncode == 2, said
    assert OTHERS[other] in said
    assert "expected" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@linux_alone
@pytest.mark.parametrize("kind", ["recipe", "profile", "font"])
@pytest.mark.parametrize("fed", [False, True])
def test_standard_input_and_process_substitution_are_pipes(
    tmp_path: Path, kind: str, fed: bool
) -> None:
    """As in a shell's `run <(generate) …` and `run /dev/stdin …`."""
    (tmp_path / "in.jpg").write_bytes(SMALL)
    read, write = os.pipe()
    os.write(write, RECIPE.encode() if fed else b"")
    path = f"/dev/fd/{read}" if fed else "/dev/stdin"
    run = subprocess.run(
        [*COMMAND, *words_for(kind, path, tmp_path)],
        cwd=tmp_path,
        stdin=read,
        pass_fds=[read],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(read)
    os.close(write)
    assert run.returncode == 2
    assert "found a pipe" in run.stderr


@pytest.mark.slow
@linux_alone
def test_standard_input_redirected_from_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(SMALL)
    (tmp_path / "recipe").write_text(RECIPE)
    with (tmp_path / "recipe").open() as given:
        run = subprocess.run(
            [*COMMAND, *words_for("recipe", "/dev/stdin", tmp_path)],
            cwd=tmp_path,
            stdin=given,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert run.returncode == 0, run.stderr.decode()


@pytest.mark.slow
@linux_alone
def test_recipe_is_not_saved_to_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(SMALL)
    words = ("resize", "in.jpg", "-s", "30", "-o", "out", "--save-recipe", pipe(tmp_path))
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert b"it.toml exists already" in done.stderr


@contextmanager
def said_to_be_regular(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the file were replaced between the check and its opening."""
    (path.parent / "regular").touch()
    with monkeypatch.context() as patched:
        found = os.stat(path.parent / "regular")
        patched.setattr("imgbatch.store.regular.os.stat", lambda path: found)
        yield


@linux_alone
def test_replacement_of_a_checked_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / pipe(tmp_path)
    with said_to_be_regular(path, monkeypatch):
        with pytest.raises(regular.UnreadableError, match="found a pipe, expected a thing"):
            regular.read(f"{path}", "a thing", 9)
        with pytest.raises(regular.NotRegularError):
            regular.descriptor(f"{path}")


def test_refused_file_leaves_no_descriptor_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("descriptors are counted in /proc")
    path = tmp_path / pipe(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    with said_to_be_regular(path, monkeypatch), pytest.raises(regular.UnreadableError):
        regular.read(f"{path}", "a thing", 9)
    assert len(os.listdir("/proc/self/fd")) == before


def test_file_may_be_as_long_as_the_limit_and_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1_000_000))
    assert regular.read(f"{path}", "a thing", 1_000_000) == bytes(1_000_000)
    path.write_bytes(bytes(1_000_001))
    with pytest.raises(regular.UnreadableError) as refused:
        regular.read(f"{path}", "a thing", 1_000_000)
    assert refused.value.cause == "found a file of 1.0 MB, expected a thing of at most 1 MB"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_file_without_a_size_is_not_read_endlessly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.stat("/proc/self/maps").st_size == 0
    with pytest.raises(regular.UnreadableError, match="found a file, expected a thing of"):
        regular.read("/proc/self/maps", "a thing", 100)


@pytest.mark.parametrize(
    ("path", "cause"), [("nothing", "No such file or directory"), ("a\0b", "embedded null byte")]
)
def test_reason_for_an_unreadable_file_is_given(path: str, cause: str) -> None:
    with pytest.raises(regular.UnreadableError) as refused:
        regular.read(path, "a thing", 9)
    assert refused.value.cause == cause


@pytest.mark.slow
def test_named_profiles_have_the_limit_of_embedded_ones(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(SMALL)
    (tmp_path / "long.icc").write_bytes(bytes(limits.ICC_BYTES + 1))
    done = command(*words_for("profile", "long.icc", tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert b"expected an ICC profile of at most 32 MB" in done.stderr


@pytest.mark.slow
@linux_alone
def test_source_replaced_by_a_pipe_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(SMALL)
    (tmp_path / "list").write_text("a.jpg\nit.toml\n")
    pipe(tmp_path)
    with (tmp_path / "list").open("rb") as names:
        words = ("resize", "-", "-s", "30", "-o", "out", "--name", "{stem}-{width}.jpg")
        done = command(*words, cwd=tmp_path, stdin=names.read())
    assert done.returncode == 1
    assert b"this is a pipe, not a file" in done.stderr
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 1
