"""scripts/tool: one launcher for everything below scripts/bench and scripts/tools."""

from __future__ import annotations

import subprocess
from typing import Final

import pytest
from toolkit import ROOT
from toolkit.commands import tool

LAUNCHER: Final = ROOT / "scripts" / "tool"


def listed() -> list[str]:
    run = subprocess.run([LAUNCHER], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (2, "")
    return run.stdout.split()


def module_of(name: str) -> str:
    return name if name.startswith("bench") else f"tools.{name}"


def test_launcher_lists_every_tool() -> None:
    below = {
        path.stem
        for path in (ROOT / "scripts" / "tools").iterdir()
        if (path.suffix == ".py" or (path / "__main__.py").exists()) and path.stem != "__init__"
    }
    commands = {
        f"bench.{path.stem}"
        for path in (ROOT / "scripts" / "bench").glob("*.py")
        if "ArgumentParser(" in path.read_text("utf-8") and path.stem != "command"
    }
    assert sorted(listed()) == sorted({"bench"} | commands | below)


@pytest.mark.slow
def test_every_tool_has_help() -> None:
    for name in listed():
        run = tool(module_of(name), "--help")
        assert (run.returncode, run.stderr) == (0, ""), name
        assert run.stdout.startswith("usage: "), name


def test_launcher_passes_on_arguments_and_exit_code() -> None:
    if not (ROOT / ".venv" / "bin" / "python").exists():
        pytest.skip("the launcher calls the interpreter of scripts/setup")
    run = subprocess.run(
        [LAUNCHER, "contact_sheet", "one folder"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("usage: ")
