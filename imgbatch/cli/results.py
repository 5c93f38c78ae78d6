"""What a run says of its results: a line for each, and the summary at its end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

from imgbatch.cli.output import RED, YELLOW, note, tell
from imgbatch.model import LeftOut, LeftOver, LeftOverReason, Replaced, Result, Summary
from imgbatch.planning.plan import Plan
from imgbatch.plurals import counted

_REMEDIES: Final = {
    "truncated": "--salvage keeps the part that is there",
    "damaged": "--salvage keeps what can be decoded",
}
"""What helps against a failure of some kind, if its message does not say."""


_REASONS: Final[Mapping[Replaced, str]] = {
    "options": "replaced: made with other options before",
    "source": "replaced: the source has changed",
    "damaged": "replaced: found damaged",
    "conflict": "replaced: --on-conflict overwrite",
}
"""Why files were remade, where the user may wonder."""


def lines_of(result: Result) -> list[str]:
    """A result, in a line; and one for each of its warnings."""
    source = result.source.path
    if result.failure:
        return [f"{source} failed: {result.failure.message}"]
    warned = [f"  warning: {notice.message}" for notice in result.notices]
    if result.status == "skipped":
        return [f"{source} skipped: {result.reason or ''}", *warned]
    made = ", ".join(
        f"{one.path} ({one.width} x {one.height}, {_bytes(one.bytes)}"
        f"{', copied unchanged' if one.copied else ''})"
        for one in result.written
    )
    return [f"{source} -> {made}", *warned]


def tell_summary(
    summary: Summary, place: str, *, report: str | None, quiet: bool, salvage: bool
) -> None:
    """Print the closing summary on standard error: what was done, and what went wrong.

    `place` is where the pictures went, as in " in out", for the end of a phrase.
    With `quiet` only failures are told. `report` is where the rows of all files are, if anywhere.
    With `salvage` that is no remedy any more.
    """
    if quiet:
        note(_totals(summary, place))
    else:
        tell(_totals(summary, place), err=True)
        for line in _warnings(summary):
            tell(line, err=True, colour=YELLOW)
        if (left_out := _left_out(summary.left_out)) is not None:
            tell(left_out, err=True)
        if summary.left_over:
            tell(_left_over(summary.left_over), err=True)
    for line in _failures(summary, report, {} if salvage else _REMEDIES):
        tell(line, err=True, colour=RED)
    if summary.signal is not None:
        tell(f"interrupted: {summary.unfinished} not done", err=True)
    elif summary.stopped:
        left = f"; {summary.unfinished} not done" if summary.unfinished else ""
        tell(f"stopped early: {summary.stopped}{left}", err=True)


def tell_totals(
    planned: Plan, settled: Summary, pruned: int, left_over: Mapping[LeftOverReason, int]
) -> None:
    """Print on standard error what a plan comes to.

    `settled` counts the files that nothing is made of; `pruned` outputs would be removed,
    and those that are `left_over` stay.
    """
    skipped = settled.skipped - settled.up_to_date
    counts = [f"{planned.files - settled.skipped - settled.failed} to do"]
    counts += [f"{settled.up_to_date} up to date"] if settled.up_to_date else []
    counts += [f"{skipped} skipped"] if skipped else []
    counts += [f"{settled.failed} failed"] if settled.failed else []
    counts += [f"{len(planned.conflicts)} refused"] if planned.conflicts else []
    counts += [f"{counted(pruned, 'output')} to remove"] if pruned else []
    files = counted(planned.files + len(planned.conflicts), "file")
    tell(f"{files}: {', '.join(counts)} (dry run: nothing was written)", err=True)
    if (left_out := _left_out(planned.left_out)) is not None:
        tell(left_out, err=True)
    if left_over:
        tell(_left_over(left_over), err=True)


def rate(number: int, seconds: float) -> str:
    """A speed in images a second, or below one in seconds an image."""
    if not number or not seconds:
        return "0 images/s"
    speed = number / seconds
    return f"{speed:.1f} images/s" if speed >= 1 else f"{1 / speed:.1f} s/image"


def _totals(summary: Summary, place: str) -> str:
    others = summary.skipped - summary.up_to_date
    done = f"{summary.done} done{_replaced(summary)}"
    counts = [done] if summary.done or not summary.up_to_date else []
    counts += [f"{summary.up_to_date} up to date"] if summary.up_to_date else []
    counts += [f"{others} skipped"] if others else []
    counts += [f"{summary.failed} failed"] if summary.failed else []
    counts += [f"{counted(summary.pruned, 'output')} removed"] if summary.pruned else []
    counts += [counted(summary.warnings, "warning")] if summary.warnings else []
    line = f"{', '.join(counts)}{place}"
    if summary.copied:
        line += f" · {summary.copied} copied unchanged"
    if summary.done:
        line += f" · {_bytes(summary.bytes_in)} → {_bytes(summary.bytes_out)}"
        line += f" · {summary.seconds:.1f} s, {rate(summary.done, summary.seconds)}"
    return line


def _replaced(summary: Summary) -> str:
    """How many of those that are done were remade, and why."""
    replaced = sorted(summary.replaced.items())
    parts = [f"{number} {_REASONS[one]}" for one, number in replaced if one in _REASONS]
    return f" ({'; '.join(parts)})" if parts else ""


def _warnings(summary: Summary) -> Iterator[str]:
    """A line for each kind: how often, and the first."""
    for kind, warned in sorted(summary.warned.items()):
        times = f"{warned.times} × " if warned.times > 1 else ""
        first = "first " if warned.times > 1 else ""
        line = f"warning: {times}{kind}: {first}{short(warned.source.path)}: {warned.message}"
        if warned.earlier == warned.times:
            line += " (up to date, made with this warning)"
        elif warned.earlier:
            line += f" ({warned.earlier} of them up to date, made with this warning)"
        yield line


def _failures(summary: Summary, report: str | None, remedies: Mapping[str, str]) -> Iterator[str]:
    for result in summary.failures:
        if (failure := result.failure) is not None:
            remedy = remedies.get(failure.kind)
            more = f" ({remedy})" if remedy is not None else ""
            yield f"failed: {short(result.source.path)}: {failure.message}{more}"
    if (rest := summary.failed - len(summary.failures)) > 0:
        where = report if report not in (None, "-") else "--report FILE"
        yield f"failed: {rest} more (see {where})"


def _left_out(left_out: LeftOut) -> str | None:
    """What might have been expected among the pictures."""
    parts = []
    if left_out.outputs:
        parts.append(f"{counted(left_out.outputs, 'output')} of earlier runs (--include-outputs)")
    parts += sorted(left_out.folders)
    return f"left out: {', '.join(parts)}" if parts else None


def why_left_over(one: LeftOver) -> str:
    """Why an output is not made any more, in words."""
    if one.reason == "source-gone":
        return f"{short(one.source)} is gone"
    return f"other outputs are made of {short(one.source)} now"


def _left_over(counts: Mapping[LeftOverReason, int]) -> str:
    """What --prune would remove."""
    gone, others = counts.get("source-gone", 0), counts.get("not-made", 0)
    parts = [f"{counted(gone, 'output')} from sources that are gone"] if gone else []
    parts += [f"{counted(others, 'output')} that these options do not make"] if others else []
    return f"left over: {', '.join(parts)} (--prune removes them)"


def short(path: str) -> str:
    """An absolute path as it is from the working folder, if it is below that."""
    if not os.path.isabs(path):
        return path
    try:
        here = os.path.join(os.getcwd(), "")
    except OSError:
        return path
    return path.removeprefix(here)


def _bytes(number: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            break
        number /= 1000
    if unit == "bytes":
        return counted(round(number), "byte")
    return f"{number:.0f} {unit}" if number >= 100 else f"{number:.1f} {unit}"
