"""The man pages are current, whole and valid."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Final

import click
import pytest
from toolkit import ROOT, programs
from tools.make_man_pages import FOLDER, escaped, pages

from imgbatch.cli.commands import group

PAGES: Final = dict(pages())


def test_pages_match_the_declarations() -> None:
    written = {path.name: path.read_text(encoding="ascii") for path in FOLDER.iterdir()}
    assert written == PAGES, "run scripts/tool make_man_pages"


def test_every_command_has_a_page_with_its_options() -> None:
    context = click.Context(group)
    names = group.list_commands(context)
    assert set(PAGES) == {"imgbatch.1", *(f"imgbatch-{name}.1" for name in names)}
    for name in names:
        command = group.get_command(context, name)
        assert command is not None
        page = PAGES[f"imgbatch-{name}.1"]
        assert rf"imgbatch\-{name} (1)" in PAGES["imgbatch.1"]
        for option in command.params:
            if isinstance(option, click.Option):
                assert all(rf"\fB{escaped(word)}\fR" in page for word in option.opts), option.name


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("--no-gps", r"\-\-no\-gps"),
        ("a\\b", r"a\eb"),
        (".TH", r"\&.TH"),
        ("'{stem}'", r"\(aq{stem}\(aq"),
        ("4 × 5…", r"4 \[u00D7] 5\[u2026]"),
    ],
)
def test_text_is_shown_as_it_is(text: str, source: str) -> None:
    assert escaped(text) == source


@pytest.mark.external("groff")
def test_pages_are_valid_and_readable(tmp_path: Path) -> None:
    groff = [programs.path_of("groff"), "-man", "-ww", "-Tutf8", "-P-cbou"]
    for name, text in PAGES.items():
        page = tmp_path / name
        page.write_text(text, encoding="ascii")
        run = subprocess.run([*groff, page], capture_output=True, text=True, check=True)
        assert run.stderr == "", name
        # The name and what it is for, which apropos shows.
        assert f"{name.removesuffix('.1')} - " in " ".join(run.stdout.split())
        assert "\\" not in run.stdout


def test_wheel_and_source_archive_have_them() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert targets["targets"]["wheel"]["shared-data"] == {"man": "share/man/man1"}
    assert "man" in targets["targets"]["sdist"]["include"]
    assert Path(ROOT / "man") == FOLDER
