"""Turns of runs that wait for one folder."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from imgbatch.store.turns import Turn


@pytest.mark.skipif(os.name != "posix", reason="there are no such locks")
def test_only_one_has_its_turn(tmp_path: Path) -> None:
    with closing(Turn(str(tmp_path))) as second:
        with closing(Turn(str(tmp_path))) as first:
            assert first.has_come()
            assert first.has_come()
            assert not second.has_come()
        assert second.has_come()
    assert not list(tmp_path.iterdir())


def test_nobody_waits_for_a_turn_at_a_folder_that_is_gone(tmp_path: Path) -> None:
    with closing(Turn(str(tmp_path / "gone"))) as turn:
        assert turn.has_come()
