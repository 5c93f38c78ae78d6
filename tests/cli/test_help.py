"""Every option and command is explained."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
import pytest
from toolkit import ROOT
from toolkit.commands import imgbatch_here

from imgbatch.cli.commands import group

MAKING: Final = ("resize", "convert", "filter")
COMMANDS: Final = (*MAKING, "run", "presets", "formats", "operations", "doctor", "completion")


def _options(command: str) -> list[click.Option]:
    found = group.get_command(click.Context(group), command)
    assert found is not None
    return [one for one in found.params if isinstance(one, click.Option)]


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
