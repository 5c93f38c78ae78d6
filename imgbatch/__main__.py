"""The entry point of the command and of `python -m imgbatch`.

Worker processes may import the main module again, so it holds nothing: click is loaded only
when a command runs.
"""

from __future__ import annotations

import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

_TOOLS = 6
"""The identifiers of tools in `sys.monitoring` (Python 3.12) are below."""


def command() -> None:
    """Run the command line in a process of its own, and end that."""
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, int) or _is_needed_longer():
            raise
        _leave(end.code)


def main() -> None:
    """Run the command line and exit with its code."""
    # Until more can be done about a Ctrl-C this early.
    sys.excepthook = _hook
    from imgbatch import signals

    signals.take_over()

    from imgbatch.cli import safe_streams, warm_up

    # Before any other process inherits them.
    safe_streams.make_safe()
    warm_up.guess(sys.argv[1:])
    from imgbatch.cli.commands import run_command

    sys.exit(run_command())


def _is_needed_longer() -> bool:
    """Whether a profiler or a debugger has something to say at the end, or a thread to do."""
    monitoring: Any = getattr(sys, "monitoring", None)
    if monitoring is not None and any(map(monitoring.get_tool, range(_TOOLS))):
        return True
    threading: Any = sys.modules.get("threading")
    threads = threading.enumerate() if threading is not None else ()
    working = sum(not thread.daemon for thread in threads) > 1
    return bool(sys.getprofile() or sys.gettrace() or working)


def _leave(code: int) -> None:
    """End the process with this code, after what was registered for its end.

    Tearing down all modules first, as Python does, takes 10 to 30 ms; the system needs none of it.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


if __name__ == "__main__":
    command()
