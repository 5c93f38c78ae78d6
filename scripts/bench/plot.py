"""A bar chart of files per second, drawn with Pillow alone."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bench.results import Results, Row

ROWS = ("1", "3", "7")

WIDTH = 1200
MARGIN = 40
NAMES = 190
NUMBERS = 110
BAR, GAP = 26, 10
TITLE, SPACE = 44, 34
BACKGROUND, TEXT, FAINT = "#fbfaf7", "#222222", "#77736b"
OURS, OTHERS = "#d1495b", "#8fa3b0"


class NothingToPlotError(Exception):
    """No row of the chart was measured."""


def draw(results: Results, path: Path) -> None:
    """Draw the rows of the chart that were measured, and save them as a PNG.

    Raises NothingToPlotError if there are none.
    """
    rows = [results.rows[name] for name in ROWS if name in results.rows]
    rows = [row for row in rows if any(tool.counts for tool in row.tools)]
    if not rows:
        raise NothingToPlotError(f"none of the rows {', '.join(ROWS)} was measured")
    height = 2 * MARGIN + sum(_height(row) for row in rows) - SPACE
    image = Image.new("RGB", (WIDTH, height), BACKGROUND)
    brush = ImageDraw.Draw(image)
    top = MARGIN
    for row in rows:
        _chart(brush, row, top)
        top += _height(row)
    image.save(path, "PNG", optimize=True)


def _height(row: Row) -> int:
    return TITLE + sum(tool.counts for tool in row.tools) * (BAR + GAP) + SPACE


def _chart(brush: ImageDraw.ImageDraw, row: Row, top: int) -> None:
    large, plain = ImageFont.load_default(24), ImageFont.load_default(19)
    brush.text((MARGIN, top), f"{row.work.title}: {row.files:,} files", TEXT, large)
    brush.text((WIDTH - MARGIN, top + 4), "files a second", FAINT, plain, anchor="ra")
    bars = sorted(
        ((row.files / tool.wall, tool) for tool in row.tools if tool.counts),
        key=lambda bar: -bar[0],
    )
    room = WIDTH - 2 * MARGIN - NAMES - NUMBERS
    left = MARGIN + NAMES
    top += TITLE
    for rate, tool in bars:
        long = max(2, round(room * rate / bars[0][0]))
        ours = tool.name == row.work.ours
        middle = top + BAR // 2
        brush.text((left - 12, middle), tool.name, TEXT, plain, anchor="rm")
        brush.rectangle((left, top, left + long, top + BAR), OURS if ours else OTHERS)
        number = f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
        brush.text((left + long + 10, middle), number, TEXT, plain, anchor="lm")
        top += BAR + GAP
