"""What is printed: the differences of an entry, and the final table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tools.compare.differences import Comparison

SHOWN = 12
"""How many lines of each kind are shown for an entry."""
_HEADS = ("recipe", "files", "identical", "differing", "warnings", "old s", "new s", "ratio")


def differences(one: Comparison, shown: int | None = SHOWN) -> Iterator[str]:
    """Lines for the differences of an entry; none if there are none."""
    if not one.differs and not one.notes:
        return
    yield f"{one.name}:"
    for note in one.notes:
        yield f"  note: {note}"
    for kind, lines in one.lines.items():
        yield f"  {kind}:"
        for line in lines[:shown]:
            yield f"    {line}"
        if shown is not None and len(lines) > shown:
            yield f"    … and {len(lines) - shown} more (--all shows them)"


def table(results: Sequence[Comparison]) -> Iterator[str]:
    """A line for each entry, and one for the total."""
    total = Comparison("all")
    rows = []
    for one in results:
        total.old_seconds += one.old_seconds
        total.new_seconds += one.new_seconds
        total.files += one.files
        total.identical += one.identical
        total.warnings += one.warnings
        rows.append((one, "  differs" if one.differs else ""))
    width = max(len(one.name) for one in (total, *results))
    name, *others = _HEADS
    yield f"{name:<{width}}" + "".join(f"{head:>11}" for head in others)
    for one, mark in (*rows, (total, "")):
        ratio = one.new_seconds / one.old_seconds if one.old_seconds else 1.0
        yield (
            f"{one.name:<{width}}{one.files:>11}{one.identical:>11}{one.differing:>11}"
            f"{one.warnings:>11}{one.old_seconds:>11.1f}{one.new_seconds:>11.1f}{ratio:>11.2f}{mark}"
        )
