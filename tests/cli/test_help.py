"""Every option and command is explained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click
import pytest
from toolkit import ROOT
from toolkit.commands import imgbatch_here

from imgbatch.cli.commands import group

MAKING: Final = ("resize", "convert", "filter")
COMMANDS: Final = (*MAKING, "run", "presets", "formats", "operations", "doctor", "completion")


def _command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


def _options(command: str) -> list[click.Option]:
    return [one for one in _command(command).params if isinstance(one, click.Option)]


def _negatives(option: click.Option) -> list[str]:
    """What turns off a flag that is on; those for flags that only a default turns on are hidden."""
    return option.secondary_opts if option.default is True else []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained_in_help(tmp_path: Path, command: str) -> None:
    shown = " ".join(imgbatch_here(command, "--help", cwd=tmp_path).stdout.decode().split())

    for option in _options(command):
        for word in (*option.opts, *_negatives(option)):
            assert word in shown
        assert option.help, f"{option.opts} is not explained"
        assert " ".join(option.help.split()[:3]) in shown
    assert set(COMMANDS) == set(group.list_commands(click.Context(group)))


def test_every_option_and_command_is_documented() -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    words = {
        f"`{word}"
        for command in (*MAKING, "run")
        for option in _options(command)
        for word in (*option.opts, *_negatives(option))
    } | {f"`imgbatch {command}" for command in COMMANDS}

    assert sorted(word for word in words if word not in page) == []


def test_command_alone_shows_its_help(tmp_path: Path) -> None:
    alone = imgbatch_here(cwd=tmp_path)
    asked = imgbatch_here("--help", cwd=tmp_path)
    assert alone.returncode == 2
    assert alone.stderr.decode().rstrip() == asked.stdout.decode().rstrip()
    assert len(asked.stdout.splitlines()) <= 30


def test_examples_in_help_are_commands() -> None:
    helps = [group.help, *(_command(name).help for name in (*MAKING, "run"))]
    examples = [
        re.split(r"\s{2,}", line.strip())[0].split()[1:]
        for line in "\n".join(text or "" for text in helps).splitlines()
        if line.lstrip().startswith("imgbatch ")
    ]
    assert {name for name, *_ in examples} == {*MAKING, "run"}
    for name, *words in examples:
        # Raises click.UsageError for what is no command line.
        _command(name).make_context(name, words)


def test_times_are_shown_as_they_are_typed(tmp_path: Path) -> None:
    shown = imgbatch_here("resize", "--help", cwd=tmp_path).stdout.decode()
    assert "[default: 5m]" in shown
