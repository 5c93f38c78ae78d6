"""Progress as a bar, as lines, or not at all."""

from __future__ import annotations

import io
import sys

import pytest

from imgbatch.cli import progress


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_line_appears_when_due_with_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 40.0, 50.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    lines = progress.Lines(4, stream)
    lines.advance(1000, False)
    lines.advance(1000, True)
    lines.advance(1000, False)
    lines.close()
    assert stream.getvalue() == "2 of 4 images, 20.0 s/image, 1 failed\n"


@pytest.mark.parametrize(("no_color", "red"), [(None, True), ("1", False)])
def test_bar_shows_files_rate_and_failures(
    monkeypatch: pytest.MonkeyPatch, no_color: str | None, red: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    stream = Terminal()
    bar = progress.Bar(2, stream)
    bar.advance(5_000_000, True)
    bar._bar.refresh()
    shown = stream.getvalue()
    bar.close()
    assert "1/2" in shown
    assert "images/s" in shown
    assert "MB/s" in shown
    assert "1 failed" in shown
    assert "left" in shown
    assert ("\x1b[31m1 failed" in shown) is red


def test_terminal_gets_bar_other_streams_lines_and_quiet_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = progress.choose(1, quiet=False)
    assert isinstance(bar, progress.Bar)
    bar.close()
    assert isinstance(progress.choose(1, quiet=True), progress.Silence)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(progress.choose(1, quiet=False), progress.Lines)
    monkeypatch.setattr(sys, "stderr", None)
    assert isinstance(progress.choose(1, quiet=False), progress.Silence)
