"""Fixtures for tests of the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from toolkit.folders import SMALL, plant
from toolkit.pictures import saved, scene
from toolkit.reports import large


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A large picture, a small one in a folder, and a truncated one."""
    folder = plant(tmp_path / "photos", "sub/small.png", data=saved(scene(60, 40), "PNG"))
    plant(folder, "large.jpg", data=large())
    return plant(folder, "broken.jpg", data=SMALL[:-100])
