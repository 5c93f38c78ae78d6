"""The entry point of the command and of `python -m imgbatch`.

Worker processes may import the main module again, so it holds nothing: click is loaded only
when a command runs.
"""

from __future__ import annotations

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

    sys.exit(run_command())


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


if __name__ == "__main__":
    main()
