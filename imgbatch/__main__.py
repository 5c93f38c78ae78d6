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

    _leave(run_command())


def _leave(code: int) -> None:
    """End the process with this code, after what was registered for its end.

    Taking all modules apart first, as Python does, takes 10 to 30 ms; the system needs none of it.
    """
    if sys.getprofile() or sys.gettrace():
        # Profilers and debuggers have something to say in the end.
        sys.exit(code)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


if __name__ == "__main__":
    main()
