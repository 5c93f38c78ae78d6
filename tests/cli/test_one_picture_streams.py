"""One picture on standard input, or to standard output, with nothing else on either."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import pytest
from PIL import Image
from toolkit.commands import COMMAND, imgbatch, imgbatch_here
from toolkit.folders import SMALL, files, plant, planted
from toolkit.pictures import saved, scene
from toolkit.reports import rows

import imgbatch as library
from imgbatch.cli import standard_input
from imgbatch.recipes.recipe import Recipe

OTHER = saved(scene(50, 30), "JPEG")
KINDS = {"PNG": "stdin.png", "GIF": "stdin.gif", "TIFF": "stdin.tif", "BMP": "stdin.bmp"}
BINARY = {"WEBP": "stdin.webp", "PPM": "stdin.ppm", "JPEG2000": "stdin.jp2", "AVIF": "stdin.avif"}
TEXT = b"P3\n# a comment\n2 1\n255\n255 0 0 0 0 0\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return plant(tmp_path, "a.jpg", "s/b.jpg")


def kind(data: bytes) -> tuple[str | None, tuple[int, int]]:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.format, picture.size


# Standard output


def test_picture_goes_to_standard_output_and_nothing_else_does(place: Path) -> None:
    run = imgbatch("resize", "a.jpg", "-s", "20", "-v", "-o", "-", cwd=place)
    as_file = imgbatch("resize", "a.jpg", "-s", "20", "-o", "b.jpg", cwd=place)

    assert run.returncode == as_file.returncode == 0
    assert run.stdout == (place / "b.jpg").read_bytes()
    assert run.stderr.decode().splitlines()[0].startswith("a.jpg -> - (20 x 13, ")
    assert b"1 done \xc2\xb7 " in run.stderr


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("resize a.jpg -o - -s 20", "JPEG"),
        ("convert a.jpg -f png -o -", "PNG"),
        ("run r.toml s/b.jpg -o -", "GIF"),
    ],
)
def test_nothing_is_left_behind(place: Path, typed: str, expected: str) -> None:
    (place / "r.toml").write_text('[[output]]\nformat = "gif"\npath = "web/{stem}{ext}"\n')
    before = sorted(place.rglob("*"))
    run = imgbatch(*shlex.split(typed), "--report", "r.jsonl", cwd=place)

    assert (run.returncode, kind(run.stdout)[0]) == (0, expected)
    (place / "r.jsonl").rename(place.with_name("r.jsonl"))
    assert sorted(place.rglob("*")) == before
    (row,) = rows(place.with_name("r.jsonl").read_bytes())[0].values()
    assert row["outputs"][0]["path"] == "-"
    assert row["outputs"][0]["bytes"] == len(run.stdout)


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        ("resize s -o -", "found the folder s: give a folder"),
        ("resize a.jpg s/b.jpg -o -", "found 2 PATHs: give a folder"),
        ("resize a.jpg -s 20 -s 30 -o -", "or make one of them"),
        ("resize a.jpg -o - --name x", "omit --name"),
        ("resize a.jpg -o - --report -", "use one file"),
        ("resize a.jpg --output=- --report=-", "use one file"),
        ("resize a.jpg -o - --in-place --no-backup", "no --output"),
        ("resize a.jpg -o - --subfolder web", "omit it, or --output"),
        ("resize missing.jpg -o -", "there is no file or folder 'missing.jpg'"),
        ("convert a.jpg -o -", "Missing option '-f'"),
    ],
)
def test_what_cannot_go_there_is_refused(place: Path, typed: str, remedy: str) -> None:
    run = imgbatch_here(*shlex.split(typed), cwd=place)

    assert remedy in run.stderr.decode()
    assert (run.returncode, run.stdout) == (2, b"")


def test_broken_picture_leaves_standard_output_empty(place: Path) -> None:
    planted(place, SMALL[: len(SMALL) // 2], "cut.jpg")
    run = imgbatch("resize", "cut.jpg", "-o", "-", cwd=place)

    assert (run.returncode, run.stdout) == (1, b"")
    assert b"failed: cut.jpg: the file is cut short" in run.stderr


def test_limits_are_those_of_files(place: Path) -> None:
    run = imgbatch("resize", "-", "-o", "-", "--max-pixels", "100", cwd=place, stdin=SMALL)

    assert (run.returncode, run.stdout) == (1, b"")
    assert b"failed: stdin.jpg: 60 x 40 pixels exceed the limit of 100" in run.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_a_failed_row(place: Path) -> None:
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [*COMMAND, "resize", "a.jpg", "-o", "-"],
            cwd=place,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert run.returncode == 1
    assert b"failed: a.jpg: no space left to write standard output" in run.stderr


@pytest.mark.terminal
def test_terminal_is_refused_but_may_see_the_plan(place: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    words = [*COMMAND, "resize", "a.jpg", "-o", "-"]
    run = subprocess.run(words, cwd=place, stdout=theirs, stderr=subprocess.PIPE, check=False)
    plan = subprocess.run([*words, "-n"], cwd=place, stdout=theirs, stderr=subprocess.PIPE)
    seen = os.read(ours, 1000)
    os.close(ours)
    os.close(theirs)

    assert run.returncode == 2
    assert b"which is a terminal" in run.stderr
    assert (plan.returncode, seen) == (0, b"a.jpg -> -\r\n")


def test_python_has_no_standard_output(place: Path) -> None:
    with pytest.raises(library.UsageError, match="the command's standard output"):
        library.run(Recipe.from_options(sizes=["20"]), [place / "a.jpg"], output="-")


# Standard input


@pytest.mark.parametrize(("format_name", "name"), [*KINDS.items(), *BINARY.items()])
def test_picture_on_standard_input_is_called_after_it(
    place: Path, format_name: str, name: str
) -> None:
    data = saved(scene(60, 40), format_name)
    run = imgbatch_here("resize", "-", "-o", "out", "-n", cwd=place, stdin=data)

    assert run.stdout.decode() == f"{name} -> out/{name}\n"


def test_picture_goes_through_pipes(place: Path) -> None:
    run = imgbatch("convert", "-", "-f", "png", "-o", "-", cwd=place, stdin=SMALL)

    assert kind(run.stdout) == ("PNG", (60, 40))
    assert kind(imgbatch("convert", "-", "-f", "png", "-o", "-", cwd=place, stdin=TEXT).stdout) == (
        "PNG",
        (2, 1),
    )
    assert files(place) == ["a.jpg", "s/b.jpg"]
    assert not (place / ".imgbatch").exists()


@pytest.mark.parametrize("output", ["b.webp", "out", "."])
def test_other_pictures_on_standard_input_replace_the_earlier_one(place: Path, output: str) -> None:
    words = ("resize", "-", "-s", "20", "-o", place / output)
    cwd = iter((place, place / "s", place))
    for data, size in ((SMALL, (20, 13)), (OTHER, (20, 12)), (OTHER, (20, 12))):
        run = imgbatch(*words, cwd=next(cwd), stdin=data)
        assert run.returncode == 0, run.stderr.decode()
        path = place / (output if output == "b.webp" else f"{output}/stdin.jpg")
        assert kind(path.read_bytes())[1] == size

    path.write_bytes(b"somebody's")
    assert imgbatch(*words, cwd=place, stdin=SMALL).returncode == 2
    assert path.read_bytes() == b"somebody's"


def test_redirected_file_is_up_to_date(place: Path) -> None:
    def redirected() -> bytes:
        with open(place / "a.jpg", "rb") as file:
            words = [*COMMAND, "resize", "-", "-s", "20", "-o", "b.png"]
            run = subprocess.run(words, cwd=place, stdin=file, capture_output=True, check=True)
        return run.stderr

    assert redirected().startswith(b"1 done: b.png")
    assert redirected() == b"1 up to date: b.png\n"
    rewritten = saved(scene(60, 40)[::-1], "JPEG")
    rewritten += b"\0" * (len(SMALL) - len(rewritten))
    was = (place / "a.jpg").stat()
    (place / "a.jpg").write_bytes(rewritten)
    os.utime(place / "a.jpg", ns=(was.st_atime_ns, was.st_mtime_ns))
    assert redirected().startswith(b"1 done (1 replaced: the source has changed): b.png")


@pytest.mark.parametrize(
    ("typed", "data", "remedy"),
    [
        ("resize -", SMALL, "give --output FILE, or --output - for standard output"),
        ("resize - a.jpg -o out", SMALL, "omit the other PATHs"),
        ("resize - --null -o out", SMALL, "expected a list of files: omit --null"),
        ("resize - --subfolder web", SMALL, "standard input is none"),
        ("resize - --in-place --no-backup", SMALL, "standard input is none: use --output"),
        ("resize - -o out", b"%PDF-1.4\n\xff\0\0", "expected a picture or a list of files"),
        ("resize - -o b.png", b"a.jpg\ns/b.jpg\n", "found a list of 2: give a folder"),
    ],
)
def test_what_cannot_be_done_with_it_is_refused(
    place: Path, typed: str, data: bytes, remedy: str
) -> None:
    run = imgbatch_here(*shlex.split(typed), cwd=place, stdin=data)

    assert remedy in run.stderr.decode()
    assert run.returncode == 2
    assert files(place) == ["a.jpg", "s/b.jpg"]


@pytest.mark.parametrize("output", ["-", "b.png", "out"])
def test_empty_standard_input_has_no_image(place: Path, output: str) -> None:
    run = imgbatch_here("resize", "-", "-o", output, cwd=place)

    assert (run.returncode, run.stdout) == (3, b"")


def test_copy_of_standard_input_is_gone_in_the_end(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = place / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    run = imgbatch("resize", "-", "-s", "20", "-o", "-", cwd=place, stdin=SMALL, env=environment)

    assert kind(run.stdout)[1] == (20, 13)
    assert list(temporary.iterdir()) == []

    # As on other systems.
    monkeypatch.setattr(standard_input, "_OPEN_FILES", str(place / "none"))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    told = imgbatch_here("resize", "-", "-o", "out", "-n", cwd=place, stdin=SMALL)

    assert told.stdout == b"stdin.jpg -> out/stdin.jpg\n"
    assert list(temporary.iterdir()) == []
