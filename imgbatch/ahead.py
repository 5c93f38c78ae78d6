"""What is started before anybody has read the command line.

The server that workers are forked from takes a quarter of a second to load codecs. It may as well
do that while this process loads click, reads options, scans and plans.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

_WORKING = frozenset({"resize", "convert", "filter", "run"})
_IDLE = frozenset({"-n", "--dry-run", "-h", "--help"})
_WITH_NUMPY = frozenset({"filter", "run", "--filter"})


def guess(arguments: Sequence[str]) -> None:
    """Start it if these look as if there will be work for it: a command, and a folder."""
    command = arguments[0] if arguments else ""
    if command not in _WORKING or not _IDLE.isdisjoint(arguments):
        return
    if any(os.path.isdir(argument) for argument in arguments[1:]):
        start(numpy=not _WITH_NUMPY.isdisjoint(arguments))


def start(*, numpy: bool) -> None:
    """Start it, if it does not run yet; most operations need NumPy."""
    from imgbatch.executors import pool

    # Without threads of its own: the workers share the processors between them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    modules = ["imgbatch.tasks", "imgbatch.worker"]
    pool.warm_up(*modules, *(["numpy"] if numpy else []))
