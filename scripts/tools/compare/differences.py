"""What differs between the outcomes of the two sides."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tools.compare import pixels
from tools.compare.outcomes import File, Outcome, Ran, Row
from tools.compare.recipes import Entry

REFUSED = 2
"""The exit code for wrong usage."""


@dataclass(slots=True)
class Comparison:
    """One entry: what was compared, and a line for every difference, by kind.

    `warnings` counts the rows whose warnings differ. `notes` are not differences.
    """

    name: str
    old_seconds: float = 0
    new_seconds: float = 0
    files: int = 0
    identical: int = 0
    warnings: int = 0
    lines: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def differing(self) -> int:
        """Files that differ, or that only one side has."""
        return self.files - self.identical

    @property
    def differs(self) -> bool:
        return any(self.lines.values())

    def tell(self, kind: str, line: str) -> None:
        self.lines.setdefault(kind, []).append(line)


def compared(entry: Entry, old: Outcome, new: Outcome) -> Comparison:
    found = Comparison(entry.name, old.seconds, new.seconds)
    for was, now in zip(old.ran, new.ran, strict=True):
        _commands(found, was, now, refused=entry.refused)
    _files(found, old.files, new.files, dates=entry.dates)
    for side, outcome in (("old", old), ("new", new)):
        for name in outcome.spoilt:
            found.tell("sources", f"{side} changed {name}")
    return found


def _commands(found: Comparison, old: Ran, new: Ran, *, refused: bool) -> None:
    if (old.code == REFUSED) != (new.code == REFUSED):
        side, one = ("old", old) if old.code == REFUSED else ("new", new)
        found.tell("refused", f"only {side} refuses `{one.line}`: {_complaint(one)}")
        return
    if old.code == REFUSED and not refused:
        found.notes.append(f"refused by both: `{new.line}`: {_complaint(new)}")
    if old.code != new.code:
        found.tell("exit code", f"{_code(old)} → {_code(new)}: `{new.line}`")
    _rows(found, old.rows, new.rows)
    for kind, was, now in (("stdout", old.out, new.out), ("stderr", old.err, new.err)):
        for line in _changed_lines(was, now):
            found.tell(kind, line)


def _complaint(ran: Ran) -> str:
    told = [line.strip() for line in ran.err if not line.startswith(("Usage:", "Try "))]
    return " ".join(filter(None, told))[:300]


def _code(ran: Ran) -> str:
    return "did not end" if ran.code is None else str(ran.code)


def _changed_lines(old: list[str], new: list[str]) -> Iterator[str]:
    if old == new:
        return
    for line in difflib.unified_diff(old, new, n=0, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield f"{line[0]} {line[1:]}"


def _rows(found: Comparison, old: Mapping[str, Row], new: Mapping[str, Row]) -> None:
    for name in sorted(old.keys() | new.keys()):
        if name not in new or name not in old:
            found.tell("rows", f"{name}: only in the {'old' if name in old else 'new'} report")
            continue
        was, now = old[name], new[name]
        if was.get("warnings") != now.get("warnings"):
            found.warnings += 1
        before, after = dict(fields(was)), dict(fields(now))
        for key in dict.fromkeys((*before, *after)):
            one, other = before.get(key, "nothing"), after.get(key, "nothing")
            if one != other:
                found.tell("rows", f"{name}: {key} {one} → {other}")


def fields(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """The plain values of a row, by path: `outputs[0].bytes`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from fields(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from fields(inner, f"{name}[{number}]")
    else:
        yield name, value


def _files(
    found: Comparison, old: Mapping[str, File], new: Mapping[str, File], *, dates: bool
) -> None:
    for name in sorted(old.keys() | new.keys()):
        found.files += 1
        if name not in new or name not in old:
            found.tell("files", f"{name}: only {'old' if name in old else 'new'} makes it")
            continue
        told = _file(old[name], new[name], dates=dates)
        if told:
            found.tell("files", f"{name}: {told}")
        else:
            found.identical += 1


def _file(old: File, new: File, *, dates: bool) -> str:
    words = []
    was, now = old.data(), new.data()
    if was != now:
        words.append(pixels.summary(was, now))
    if old.mode != new.mode:
        words.append(f"mode {old.mode:o} → {new.mode:o}")
    if dates and old.modified != new.modified:
        words.append("other date")
    return ", ".join(words)
