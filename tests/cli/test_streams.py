"""Standard output and standard error, whatever they are connected to."""

from __future__ import annotations

import ast
import os
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from toolkit import ROOT
from toolkit.commands import COMMAND, CompletedText, imgbatch
from toolkit.folders import plant, tree
from toolkit.forked import Forks

PACKAGE: Final = ROOT / "imgbatch"
ASKED: Final = (
    *("--version", "--help", "resize --help", "formats", "operations", "operations blur"),
    *("presets", "presets web-gallery", "run web-gallery --explain", "resize photos -n"),
)


def connected(words: str, redirection: str, cwd: Path, **env: str) -> CompletedText:
    """Run the command in a shell with a redirection."""
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, *words.split()],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=300,
        check=False,
    )


# Nowhere to go


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ASKED)
def test_full_disk_behind_stdout_is_a_one_line_error(
    tmp_path: Path, words: str, unbuffered: str
) -> None:
    plant(tmp_path, "photos/a.jpg")

    run = connected(words, ">/dev/full", tmp_path, PYTHONUNBUFFERED=unbuffered)

    assert run.returncode == 1
    assert run.stderr == "imgbatch: standard output: No space left on device\n"


@pytest.mark.slow
@pytest.mark.parametrize("report", ["-", "/dev/full"])
def test_unwritable_report_does_not_end_the_run(tmp_path: Path, report: str) -> None:
    plant(tmp_path, "photos/a.jpg", "photos/b.jpg")

    run = connected(f"resize photos -o out --report {report}", ">/dev/full", tmp_path)

    assert run.returncode == 1
    first, second = run.stderr.splitlines()
    assert first == "imgbatch: the report is incomplete: No space left on device"
    assert second.startswith("2 done in out")


@pytest.mark.slow
@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&-", "2>/dev/full"])
@pytest.mark.parametrize(
    ("words", "code"), [("formats", 0), ("resize photos -o out --report -", 0), ("resize gone", 2)]
)
def test_closed_and_full_streams_are_not_an_error(
    tmp_path: Path, words: str, code: int, redirection: str
) -> None:
    plant(tmp_path, "photos/a.jpg", "photos/b.jpg")

    run = connected(words, redirection, tmp_path)

    assert run.returncode == code
    assert "Traceback" not in run.stderr
    assert "Exception" not in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [*ASKED, *(f"resize photos -o out --report -{how}" for how in ("", " -j 1"))]
)
def test_broken_pipe_is_not_an_error(tmp_path: Path, words: str) -> None:
    plant(tmp_path, *(f"photos/{number}.jpg" for number in range(30)))
    reading, writing = os.pipe()
    os.close(reading)

    run = subprocess.run(
        [*COMMAND, *words.split()],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=300,
        check=False,
    )
    os.close(writing)

    assert run.returncode == 0
    assert b"Traceback" not in run.stderr
    assert b"Exception" not in run.stderr
    assert b"rror" not in run.stderr
    if "--report" in words:
        assert set(tree(tmp_path / "out")) == {f"{number}.jpg" for number in range(30)}


# Encodings

AWKWARD: Final = ("grüße→日本.jpg", "a\x1b[31mred.jpg", "new\nline.jpg", "\udcff\udcfe.jpg")
SMALL_ENCODINGS: Final = (
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
)


@pytest.mark.slow
@pytest.mark.parametrize("env", SMALL_ENCODINGS)
def test_limited_encoding_is_not_an_error(tmp_path: Path, env: dict[str, str]) -> None:
    plant(tmp_path, *(f"photos/{name}" for name in AWKWARD))

    # Forks have the encodings of the interpreter that they are forked from.
    with closing(Forks({**os.environ, **env})) as forks:
        for words in (*ASKED, "resize photos -o out -v --report - -s 20", "resize gone→", "→"):
            run = forks.completed(words.split(), tmp_path)
            assert run.returncode == (0 if "→" not in words else 2)
            assert b"Traceback" not in run.stderr

    ascii_only = connected("resize photos -o other -s 20", "", tmp_path, PYTHONIOENCODING="ascii")
    assert " KB -> " in ascii_only.stderr


@pytest.mark.slow
def test_names_are_printed_as_is_or_escaped(tmp_path: Path) -> None:
    plant(tmp_path, *(f"photos/{name}" for name in AWKWARD))
    words = ("resize", "photos", "-n", "-o", "o")

    fully = imgbatch(*words, cwd=tmp_path, env={"PYTHONIOENCODING": "utf-8"})
    poorly = imgbatch(*words, cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})

    assert fully.stdout.splitlines() == [
        rb"photos/a\x1b[31mred.jpg -> o/a\x1b[31mred.jpg",
        "photos/grüße→日本.jpg -> o/grüße→日本.jpg".encode(),
        rb"photos/new\nline.jpg -> o/new\nline.jpg",
        b"photos/\xff\xfe.jpg -> o/\xff\xfe.jpg",
    ]
    assert poorly.stdout.splitlines()[1] == (
        rb"photos/gr\xfc\xdfe->\u65e5\u672c.jpg -> o/gr\xfc\xdfe->\u65e5\u672c.jpg"
    )


# Control characters

RECIPE: Final = r"""
[[output]]
name = "a"
operations = ["text:text=\u001b[31mred\u001b]0;title\u0007\nnext"]
path = "x\u001b[2J{stem}{ext}"
"""
ESCAPE: Final = "\x1b[31mred\nnext"


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("run", "recipe.toml", "--explain"),
        ("run", "recipe.toml", "photos", "-n", "-o", "out"),
        ("run", "recipe.toml", "photos", "-v", "-o", "out"),
        ("run", f"{ESCAPE}.toml", "photos"),
        ("resize", "photos", "-v", "-o", f"out{ESCAPE}"),
        ("resize", f"gone{ESCAPE}"),
        ("resize", "photos", f"--no{ESCAPE}"),
        ("resize", "photos", "--sort", ESCAPE),
        ("resize", "photos", "--jobs", ESCAPE),
        ("resize", "photos", "-s", ESCAPE),
        ("resize", "photos", "--filter", ESCAPE),
        ("resize", "photos", "--filter", f"text:text={ESCAPE}", "--filter", f"blur:{ESCAPE}=1"),
        ("resize", "photos", "--name", f"{{{ESCAPE}}}"),
        ("resize", "photos", "--report", f"recipe.toml/{ESCAPE}"),
        ("resize", "photos", "--save-recipe", f"gone/{ESCAPE}"),
        ("resize", "photos", "--profile", ESCAPE),
        ("resize", "photos", "-o", "photos"),
        ("operations", ESCAPE),
        ("presets", ESCAPE),
        (ESCAPE,),
    ],
)
def test_names_and_messages_cannot_control_the_terminal(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    plant(tmp_path, f"photos/{ESCAPE}.jpg")
    plant(tmp_path, f"photos/broken{ESCAPE}.jpg", data=b"nothing")

    run = imgbatch(*words, cwd=tmp_path)

    said = run.stdout + run.stderr
    assert rb"\x1b[" in said
    assert not set(said) & {*range(10), *range(11, 32), 127}
    assert not any(line.startswith(b"next") for line in said.splitlines())


@pytest.mark.slow
def test_preset_is_printed_byte_for_byte(tmp_path: Path) -> None:
    run = imgbatch("presets", "web-gallery", cwd=tmp_path)

    assert run.stdout == (PACKAGE / "recipes/presets/web-gallery.toml").read_bytes()


@pytest.mark.slow
def test_all_printing_goes_through_one_module() -> None:
    places = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func)
        in ("click.echo", "click.secho", "print", "echo", "sys.stdout.write", "sys.stderr.write")
    }

    assert places == {"cli/output.py"}
