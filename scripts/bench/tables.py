"""Results as tables, as text in columns or as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from bench.results import Results, Row, Tool, ratios

SUMMARY = (
    *("row", "work", "imgbatch", "best peer", "ratio", "range", "goal", "reached"),
    *("PSNR dB, ours", "its", "SSIM, ours", "its"),
)
DETAILS = (
    *("tool", "version", "jobs", "wall s", "wall range", "CPU s", "files/s", "MB", "peak MB"),
    *("wall ÷", "CPU ÷", "PSNR dB", "SSIM", "notes"),
)
LEFT = ("row", "work", "imgbatch", "best peer", "tool", "version", "notes")
BUSY = 0.1
"""From this many busy processors on, other programs distort the results."""


def summary(results: Results, *, markdown: bool) -> str:
    """One line per row: imgbatch against the best peer."""
    return table(SUMMARY, [_summary(row) for row in results.in_order()], markdown=markdown)


def details(row: Row, *, markdown: bool) -> str:
    """All tools of a row, with what the numbers depend on."""
    different = f", {row.different:,} of them different" if row.different != row.files else ""
    rounds = max((len(tool.walls) for tool in row.tools), default=0)
    lines = [
        f"{'### ' if markdown else ''}Row {row.row}: {row.work.title}",
        "",
        f"{row.files:,} files{different}, {row.input_bytes / 1e6:.0f} MB; "
        f"{rounds} round{'s' if rounds != 1 else ''}.",
        *(f"{note[0].upper()}{note[1:]}." for note in row.notes),
    ]
    if row.disturbance >= BUSY:
        lines.append(
            f"Other processes kept {row.disturbance:.1f} processors busy meanwhile: wall times "
            "are too long."
        )
    cells = [_details(row, tool) for tool in row.tools]
    used = [
        place
        for place, name in enumerate(DETAILS)
        if name in ("tool", "notes") or any(texts[place] not in ("", "-") for texts in cells)
    ]
    head = [DETAILS[place] for place in used]
    kept = [tuple(texts[place] for place in used) for texts in cells]
    return "\n".join([*lines, "", table(head, kept, markdown=markdown)])


def _summary(row: Row) -> tuple[str, ...]:
    work, ours, best = row.work, row.ours, row.best
    goal = f"{'≥' if work.at_least else '≤'} {work.goal:g}"
    if work.size_goal:
        goal += f", size ≤ {work.size_goal:g}"
    found = row.ratios(best) if best else []
    if ours is None or best is None or not found:
        left = _shown(row, ours) if ours else "-"
        right = f"{best.name} {_shown(row, best)}" if best else "-"
        return (row.row, work.title, left, right, "-", "-", goal, "-", *["-"] * 4)
    ratio = median(found)
    reached = "yes" if (ratio >= work.goal if work.at_least else ratio <= work.goal) else "no"
    if work.size_goal:
        size = ours.bytes / best.bytes
        reached = reached if size <= work.size_goal else "no"
        reached += f" (size {size:.3f})"
    return (
        row.row,
        work.title,
        _shown(row, ours),
        f"{best.name} {_shown(row, best)}",
        f"{ratio:.2f}",
        f"{min(found):.2f}-{max(found):.2f}",
        goal,
        reached,
        _decibels(ours),
        _decibels(best),
        _similarity(ours),
        _similarity(best),
    )


def _shown(row: Row, tool: Tool) -> str:
    """The number that the row is about."""
    value = median(tool.numbers(row.work.measure))
    if row.work.measure == "memory":
        return f"{value / 1e6:.0f} MB"
    return f"{value:.2f} s" + (" CPU" if row.work.measure == "cpu" else "")


def _details(row: Row, tool: Tool) -> tuple[str, ...]:
    notes = "; ".join([f"not counted: {tool.unfair}"] * bool(tool.unfair) + tool.notes)
    if not tool.counts:
        problem = tool.problem or "not run"
        bad = problem if problem.startswith("not ") else f"FAILED: {problem}"
        return (tool.name, tool.version, str(tool.jobs), *["-"] * (len(DETAILS) - 4), bad)
    ours = row.ours
    walls = ratios(ours.walls, tool.walls) if ours else []
    cpus = ratios(ours.cpus, tool.cpus) if ours else []
    return (
        tool.name,
        tool.version,
        str(tool.jobs),
        f"{tool.wall:.2f}",
        f"{min(tool.walls):.2f}-{max(tool.walls):.2f}",
        f"{tool.cpu:.2f}",
        f"{row.files / tool.wall:.1f}",
        f"{tool.bytes / 1e6:.2f}" if tool.bytes else "-",
        f"{median(tool.peaks) / 1e6:.0f}" if tool.peaks else "-",
        f"{median(walls):.2f}" if walls else "-",
        f"{median(cpus):.2f}" if cpus else "-",
        _decibels(tool),
        _similarity(tool),
        notes,
    )


def _decibels(tool: Tool) -> str:
    return "-" if tool.db is None else f"{tool.db:.1f}"


def _similarity(tool: Tool) -> str:
    return "-" if tool.ssim is None else f"{tool.ssim:.4f}"


def table(head: Sequence[str], cells: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """The cells below their headings; words left-aligned, numbers right-aligned."""
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    layout = list(zip(widths, ["<" if name in LEFT else ">" for name in head], strict=True))

    def line(texts: Iterable[str]) -> str:
        pairs = zip(texts, layout, strict=True)
        padded = [f"{text:{side}{width}}" for text, (width, side) in pairs]
        return "| " + " | ".join(padded) + " |" if markdown else "  ".join(padded).rstrip()

    lines = [line(head)]
    if markdown:
        rules = ["-" * (width - 1) + ("-" if side == "<" else ":") for width, side in layout]
        lines.append("| " + " | ".join(rules) + " |")
    return "\n".join([*lines, *map(line, cells)])
