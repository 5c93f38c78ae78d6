"""Fixtures for tests of planning."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from toolkit.shoots import set_zone


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in UTC, without daylight saving time, wherever the tests run."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC0")
        set_zone()
        yield
    set_zone()
