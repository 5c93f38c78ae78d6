"""Measurements as plain values: stored as JSON, and merged from several runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.works import ROWS, Measure, Work


class UnreadableError(Exception):
    """A file does not hold results."""


@dataclass
class Tool:
    """One tool in one row. Seconds, bytes; one number for each round that counts.

    `unfair` says what it does differently, if that saves it work: then it cannot be the best peer.
    """

    name: str
    version: str = ""
    jobs: int = 1
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    foreign: list[float] = field(default_factory=list)
    bytes: int = 0
    db: float | None = None
    ssim: float | None = None
    notes: list[str] = field(default_factory=list)
    unfair: str = ""
    problem: str = ""

    def numbers(self, measure: Measure) -> list[float]:
        """What the row compares, round by round."""
        if measure == "memory":
            return [float(one) for one in self.peaks]
        return self.cpus if measure == "cpu" else self.walls

    @property
    def counts(self) -> bool:
        return bool(self.walls) and not self.problem

    @property
    def wall(self) -> float:
        return median(self.walls)

    @property
    def cpu(self) -> float:
        return median(self.cpus)


@dataclass
class Row:
    """All tools of one row; the first is imgbatch."""

    row: str
    files: int
    different: int
    input_bytes: int
    tools: list[Tool] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def work(self) -> Work:
        return ROWS[self.row]

    @property
    def ours(self) -> Tool | None:
        found = [one for one in self.tools if one.name == self.work.ours and one.counts]
        return found[0] if found else None

    @property
    def best(self) -> Tool | None:
        """The fastest of the fair peers; for memory the one with the least."""
        measure = self.work.measure
        fair = [
            one
            for one in self.tools
            if one.name in self.work.peers and one.counts and not one.unfair
        ]
        return min(fair, key=lambda one: median(one.numbers(measure)), default=None)

    def ratios(self, tool: Tool) -> list[float]:
        """imgbatch ÷ the tool, round by round, of what the row compares."""
        measure = self.work.measure
        return ratios(self.ours.numbers(measure), tool.numbers(measure)) if self.ours else []

    @property
    def disturbance(self) -> float:
        """How many processors other programs kept busy meanwhile."""
        wall = sum(sum(one.walls) for one in self.tools)
        return sum(sum(one.foreign) for one in self.tools) / wall if wall else 0.0


@dataclass
class Results:
    """All rows that were measured, by name, and on what machine."""

    machine: list[str] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)

    def in_order(self) -> list[Row]:
        return [self.rows[name] for name in ROWS if name in self.rows]


def ratios(ours: list[float], theirs: list[float]) -> list[float]:
    """Round by round; omitted if one of the two was stopped halfway."""
    if len(ours) != len(theirs):
        return []
    # At least a clock tick, for programs that end at once.
    return [one / max(other, 0.001) for one, other in zip(ours, theirs, strict=True)]


def write(results: Results, path: Path) -> None:
    """Store everything as JSON."""
    path.write_text(json.dumps(asdict(results), indent=1) + "\n", encoding="utf-8")


def read(paths: Iterable[Path]) -> Results:
    """Merge files: of a row that is in several the last counts. Raises UnreadableError."""
    joined = Results()
    for path in paths:
        try:
            told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            rows = [_row(one) for one in told["rows"].values()]
            machine = [str(line) for line in told["machine"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableError(f"{path} holds no results: {error}") from error
        joined.rows |= {one.row: one for one in rows if one.row in ROWS}
        joined.machine += [line for line in machine if line not in joined.machine]
    return joined


def _row(told: dict[str, Any]) -> Row:
    tools = [Tool(**one) for one in told.pop("tools")]
    return Row(**told, tools=tools)
