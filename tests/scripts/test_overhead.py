"""The overhead of a small file, counted in function calls: it may not grow unnoticed.

Calls are counted instead of seconds, which a busy machine would distort. If a change is intended,
`scripts/tool bench --calls --update` writes new figures to tests/scripts/overhead.json.
"""

from __future__ import annotations

import sys
from typing import Final

import pytest
from bench import overhead

TOLERANCE: Final = 0.1


@pytest.mark.slow
def test_calls_of_a_small_file_match_the_committed_figures() -> None:
    known = overhead.figures()
    found = overhead.calls(sys.executable)

    committed = known.get(overhead.version())
    if committed is None:
        # Another Python calls other functions, but should not need more than any known one.
        most = {name: max(one[name] for one in known.values()) for name in found}
        assert all(found[name] <= most[name] * (1 + TOLERANCE) for name in found), found
        return
    for name, value in committed.items():
        assert abs(found[name] - value) <= TOLERANCE * value, (name, found, committed)
