"""The entry point of the command and of `python -m imgbatch`.

Worker processes import the main module again, so it holds nothing: click is only loaded when
the command really runs.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from imgbatch import ahead, streams

    # Before any other process has them, too.
    streams.make_safe()
    ahead.guess(sys.argv[1:])
    from imgbatch.cli import run_command

    sys.exit(run_command())


if __name__ == "__main__":
    main()
