"""What starting imgbatch costs, compared with importing click, which it cannot avoid."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bench.measure import Command, Run, run
from bench.results import ratios
from bench.task import ROOT, Place

STARTUPS = 20


def measured(place: Place, say: Callable[[str], None]) -> str:
    """A table of milliseconds; empty, after a message, if one of the two cannot be run."""
    commands = {
        "imgbatch --version": Command((place.python, "-m", "imgbatch", "--version"), folder=ROOT),
        'python -c "import click"': Command((place.python, "-c", "import click"), folder=ROOT),
    }
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(STARTUPS + 1):
        for name, command in commands.items():
            one = run(command)
            if one.problem:
                say(f"error: {name}: {one.problem}")
                return ""
            if number:
                runs[name].append(one)
    lines = []
    for name, found in runs.items():
        wall = 1000 * median(one.wall for one in found)
        cpu = 1000 * median(one.cpu for one in found)
        lines.append(f"{name:26}{wall:6.0f} ms wall {cpu:6.0f} ms CPU")
    ours, click = runs.values()
    walls = median(ratios([one.wall for one in ours], [one.wall for one in click]))
    cpus = median(ratios([one.cpu for one in ours], [one.cpu for one in click]))
    return "\n".join([*lines, f"{'ratio':26}{walls:6.2f}         {cpus:6.2f}"])
