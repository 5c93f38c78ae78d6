"""What shells complete: by click's protocol, and in the shells themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

import pytest
from toolkit import programs
from toolkit.commands import COMMAND, imgbatch_here
from toolkit.folders import plant

from imgbatch.cli import COMPLETING
from imgbatch.cli.commands import group
from imgbatch.cli.completion import Bash, Fish
from imgbatch.imaging import formats
from imgbatch.model import METADATA_POLICIES, Fit, Gravity, Kernel, OnConflict
from imgbatch.operations import names, parameters_of
from imgbatch.recipes.toml import presets

Asked = Callable[[str], list[str]]
FILE: Final = "<file>"
FOLDER: Final = "<dir>"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = plant(tmp_path / "shoot", "in/a.jpg")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def asked(place: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The suggestions for the end of a line."""

    def ask(line: str) -> list[str]:
        monkeypatch.setenv("COMP_LINE", f"imgbatch {line}")
        answer = Fish(group, {}, "imgbatch", COMPLETING).complete()
        found = [one.partition("\t")[0].split(",", 1) for one in answer.splitlines()]
        return [word if kind == "plain" else f"<{kind}>" for kind, word in found]

    return ask


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("resize in --fit ", get_args(Fit)),
        ("resize in --gravity ", get_args(Gravity)),
        ("resize in --kernel ", get_args(Kernel)),
        ("resize in --on-conflict ", get_args(OnConflict)),
        ("resize in --metadata ", tuple(METADATA_POLICIES)),
        ("resize in -f ", ("keep", *formats.WRITABLE)),
        ("convert in -f ", formats.WRITABLE),
        ("run web-gallery in --format=", ("keep", *formats.WRITABLE)),
        ("resize in --sort ", ("name", "date")),
        ("resize in --jobs ", ("all",)),
        ("resize in --profile s", ("srgb",)),
        ("resize in --profile pro", ("prophoto",)),
        ("filter in --filter ", tuple(names())),
        ("operations ", tuple(names())),
        ("run ", tuple(presets())),
        ("presets ", tuple(presets())),
        ("completion ", ("bash", "zsh", "fish")),
        ("", tuple(group.list_commands(None))),  # type: ignore[arg-type]
        ("resize in --kernel B", ("bicubic", "bilinear", "box")),
        ("resize in --strip-", ()),
        ("resize in -o ", (FILE,)),
        ("resize in --backup ", (FOLDER,)),
        ("resize in --report ", (FILE,)),
        ("resize ", (FILE,)),
        ("resize in --profile mine", (FILE,)),
        ("resize in --copyright ", ()),
    ],
)
def test_values_are_those_of_the_declarations(
    asked: Asked, line: str, words: tuple[str, ...]
) -> None:
    assert sorted(asked(line)) == sorted(words)


def test_every_option_is_suggested(asked: Asked) -> None:
    assert {"--quality", "--wait", "--config", "--log"} <= set(asked("resize in --"))
    assert asked("resize in --qual") == ["--quality"]


@pytest.mark.parametrize(
    ("word", "suggested"),
    [
        ("sharp", ["sharpen"]),
        ("sharpen", ["sharpen", "sharpen:"]),
        ("sepia:am", ["sepia:amount="]),
        ("unsharp:radius=2,", ["unsharp:radius=2,amount=", "unsharp:radius=2,threshold="]),
        ("unsharp:radius=2, th", ["unsharp:radius=2, threshold="]),
        ("rotate:fit=c", ["rotate:fit=crop"]),
        ("grain:colour=", ["grain:colour=yes", "grain:colour=no"]),
        ("sharpen:amount=0", []),
        ("no-such:", []),
        ('text:text="a,', []),
    ],
)
@pytest.mark.parametrize("quote", ["", "'"])
def test_settings_of_operations_are_suggested(
    asked: Asked, word: str, suggested: list[str], quote: str
) -> None:
    if quote or not {" ", '"'} & set(word):
        assert asked(f"filter in --filter {quote}{word}") == suggested


def test_all_settings_of_an_operation_are_suggested(asked: Asked) -> None:
    for name, kind in names().items():
        expected = [f"{name}:{key}=" for key in parameters_of(kind)]
        assert asked(f"resize in --filter {name}:") == expected


def test_own_presets_and_recipe_files_are_suggested(place: Path, asked: Asked) -> None:
    plant(place, "own/für web.toml", "web.toml", data=b"")
    (place / "imgbatch.toml").write_text('presets = "own"\n')
    assert set(asked("run ")) == {*presets(), "für web", "web.toml", "imgbatch.toml"}
    assert asked("run we") == ["web-gallery", "web.toml"]
    assert asked("presets fü") == ["für web"]
    assert "für web" not in asked("presets --no-config ")
    (place / "imgbatch.toml").write_text("no TOML")
    assert asked("run web-") == ["web-gallery"]


def test_mistakes_elsewhere_in_the_line_do_no_harm(asked: Asked) -> None:
    assert asked("resize in --quality 999 --fit co") == ["cover"]
    assert asked("resize in -size 3 --fit co") == ["cover"]
    assert asked("resize 'in x --fit co") == [FILE]


@pytest.mark.parametrize(
    ("line", "word", "reply"),
    [
        ("--filter sharpen:am", "am", "amount="),
        ("--filter sharpen:", ":", "amount="),
        ("--filter rotate:fit=", "=", "crop"),
        ("--filter 'sharpen:am", "'sharpen:am", "sharpen:amount="),
        ("--fit=co", "co", "cover"),
        ("--fit co", "co", "cover"),
    ],
)
def test_bash_gets_what_it_will_put_in_place_of_its_word(
    place: Path, monkeypatch: pytest.MonkeyPatch, line: str, word: str, reply: str
) -> None:
    monkeypatch.setenv("COMP_LINE", f"imgbatch resize in {line}")
    monkeypatch.setenv("COMP_WORD", word)
    assert f"plain,{reply}" in Bash(group, {}, "imgbatch", COMPLETING).complete().splitlines()


def test_answer_needs_no_codecs_and_follows_the_protocol_of_click(place: Path) -> None:
    script = "import sys; sys.argv = ['imgbatch']\nfrom imgbatch.cli.commands import run_command\n"
    script += "try: run_command()\nfinally: print(*{'PIL', 'numpy'} & set(sys.modules))"
    line = {"COMP_WORDS": "imgbatch filter in --filter sharpen:", "COMP_CWORD": "4"}
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, COMPLETING: "bash_complete", **line},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.split() == ["plain,sharpen:amount="]


# In the shells

_SETUP: Final = {
    "bash": (("--norc", "--noprofile", "-i"), 'eval "$(imgbatch completion bash)"'),
    "zsh": (
        ("-f", "-i"),
        'autoload -U compinit; compinit -u -D; eval "$(imgbatch completion zsh)"',
    ),
}
TYPED: Final = (
    ("imgbatch filter x --filter sepia:am", "ount="),
    ("imgbatch filter x --filter output-sharpen:medium=gl", "ossy "),
    ("imgbatch resize x --kernel mi", "tchell "),
)


@pytest.fixture
def shell_path(place: Path) -> str:
    """A PATH on which this command is."""
    script = plant(place, "bin/imgbatch", data=b"") / "bin/imgbatch"
    script.write_text(f'#!/bin/sh\nexec {COMMAND[0]} -m imgbatch "$@"\n')
    script.chmod(0o755)
    return f"{script.parent}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.slow
@pytest.mark.terminal
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.external(name)) for name in _SETUP]
)
def test_shell_completes_at_its_prompt(place: Path, shell_path: str, name: str) -> None:
    import pty

    words, setup = _SETUP[name]
    path = programs.path_of(name)
    process, terminal = pty.fork()
    if process == 0:
        environment = {**os.environ, "PATH": shell_path, "TERM": "dumb", "PS1": "$ "}
        os.execve(path, [path, *words], environment)
    try:
        _until(terminal, b"$ ")
        os.write(terminal, f"{setup}; echo re''ady\n".encode())
        _until(terminal, b"ready\r\n")
        for typed, completed in TYPED:
            os.write(terminal, f"{typed}\t".encode())
            _until(terminal, completed.encode())
            # Ctrl-U empties the line.
            os.write(terminal, b"\x15")
    finally:
        os.close(terminal)
        os.waitpid(process, 0)


def _until(terminal: int, expected: bytes) -> None:
    """Read what a shell shows, up to something."""
    seen = b""
    while expected not in seen:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            more = b""
        assert more, f"the shell ended after {seen!r}"
        seen += more


@pytest.mark.slow
@pytest.mark.external("fish")
def test_fish_completes(place: Path, shell_path: str) -> None:
    script = "imgbatch completion fish | source; for line in $argv; complete -C $line; end"
    lines = [typed for typed, _ in TYPED]
    run = subprocess.run(
        [programs.path_of("fish"), "--no-config", "-c", script, *lines],
        env={**os.environ, "PATH": shell_path},
        capture_output=True,
        text=True,
        check=True,
    )
    words = [line.partition("\t")[0] for line in run.stdout.splitlines()]
    assert words == ["sepia:amount=", "output-sharpen:medium=glossy", "mitchell"]


@pytest.mark.parametrize("request_", ["bash_complete", "tcsh_complete", "bash_other", "x"])
def test_question_that_makes_no_sense_is_no_traceback(
    place: Path, monkeypatch: pytest.MonkeyPatch, request_: str
) -> None:
    monkeypatch.setenv(COMPLETING, request_)
    run = imgbatch_here(cwd=place)
    assert (run.returncode, run.stdout, run.stderr) == (1, b"", b"")
    monkeypatch.setenv(COMPLETING, "bash_source")
    assert imgbatch_here(cwd=place).stdout.startswith(b"_imgbatch_completion() {")


def test_unknown_shell_is_refused(place: Path) -> None:
    run = imgbatch_here("completion", "tcsh", cwd=place)
    assert run.returncode == 2
    assert b"'bash', 'zsh', 'fish'" in run.stderr
