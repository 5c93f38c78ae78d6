"""Fixtures for tests of imaging."""

from __future__ import annotations

import pytest

from imgbatch.imaging import formats


@pytest.fixture
def no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if imgbatch[deep] were not installed."""
    monkeypatch.setattr(formats, "installed", lambda extra: extra != "deep")
