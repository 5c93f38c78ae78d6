"""scripts/tool: one launcher for everything below scripts/bench and scripts/tools."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from toolkit import ROOT
from toolkit.commands import tool_environment

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


# In a fork each, of a process that has loaded what most of them load first.
HELP: Final = """
import os, runpy, sys
import numpy, PIL.Image, imgbatch.recipes.recipe
folder, *modules = sys.argv[1:]
for module in modules:
    if os.fork() == 0:
        for number, end in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{folder}/{module}.{end}", os.O_WRONLY | os.O_CREAT), number)
        sys.argv[1:] = ["--help"]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        sys.exit("it has not ended by itself")
    _, status = os.wait()
    print(module, os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks for speed")
def test_every_tool_has_help(tmp_path: Path) -> None:
    modules = [module_of(name) for name in listed()]
    run = subprocess.run(
        [sys.executable, "-P", "-c", HELP, tmp_path, *modules],
        env=tool_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == [f"{module} 0" for module in modules], run.stderr
    for module in modules:
        said, complained = (
            (tmp_path / f"{module}.{end}").read_text("utf-8") for end in ("out", "err")
        )
        assert complained == "", module
        assert said.startswith("usage: "), module


def test_launcher_passes_on_arguments_and_exit_code() -> None:
    if not (ROOT / ".venv" / "bin" / "python").exists():
        pytest.skip("the launcher calls the interpreter of scripts/setup")
    run = subprocess.run(
        [LAUNCHER, "contact_sheet", "one folder"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("usage: ")
