"""What is started before the command line is even parsed.

The server that workers are forked from takes a quarter of a second to load codecs. It does that
while this process loads click, parses options, scans and plans.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise

_WORKING = frozenset({"resize", "convert", "filter", "run"})
_IDLE = frozenset({"-n", "--dry-run", "--explain", "-h", "--help"})
_WITH_NUMPY = frozenset({"filter", "run"})


def guess(arguments: Sequence[str]) -> None:
    """Start the server if these arguments look like work for it: a command, and a folder.

    The argument after an option may be the output folder, which needs no server.
    """
    command = arguments[0] if arguments else ""
    if command not in _WORKING or not _IDLE.isdisjoint(arguments):
        return
    if any(
        os.path.isdir(argument) and not before.startswith("-")
        for before, argument in pairwise(arguments)
    ):
        filters = any(argument.startswith("--filter") for argument in arguments)
        start(numpy=command in _WITH_NUMPY or filters)


def start(*, numpy: bool) -> None:
    """Start the server if it is not running yet; most operations need NumPy."""
    from imgbatch.executors import crew

    # No threads of its own: the workers share the processors between them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    modules = ["imgbatch.running.worker_tasks", "imgbatch.running.preloaded"]
    crew.warm_up(*modules, *(["numpy"] if numpy else []))
