"""The command line of scripts/compare."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from tools.compare import sources
from tools.compare.differences import Comparison, compared
from tools.compare.recipes import TABLE, Entry, lacking
from tools.compare.sides import (
    SOURCES,
    CompareError,
    Side,
    check_out,
    commit_of,
    copy_tree,
)
from tools.compare.table import SHOWN, differences, table

ROOT: Final = sources.ROOT
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
SAME, DIFFERENT, WRONG, INTERRUPTED = 0, 1, 2, 130

_DESCRIPTION: Final = """\
Run REV and the working tree (including uncommitted changes) over the same pictures with a table of
recipes, and print what differs: files, rows, warnings, output, exit codes. Times are shown, but do
not count as differences.
"""
_EPILOG: Final = "Exit codes: 0 nothing differs, 1 something does, 2 wrong usage."


def main(words: Sequence[str]) -> int:
    """Compare, print, and return the exit code."""
    options = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        entries = _chosen(options.recipe)
        for what in lacking():
            print(f"no recipe covers {what}")
        with _workplace(keep=options.keep) as place:
            old, new = _sides(options, place)
            results = list(_compared(entries, old, new, None if options.all else SHOWN))
    except CompareError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    print(*table(results), sep="\n")
    return DIFFERENT if any(one.differs for one in results) else SAME


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/compare", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False
    )
    parser.add_argument("revision", metavar="REV", help="any revision that git knows")
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        nargs="?",
        type=Path,
        help="pictures, copied twice (default: sample_images and the test toolkit's)",
    )
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        action="append",
        help=f"only this one; repeatable: {', '.join(entry.name for entry in TABLE)}",
    )
    parser.add_argument("--jobs", metavar="N", type=int, help="for all (default: by recipe)")
    parser.add_argument("--all", action="store_true", help="show all lines")
    parser.add_argument("--keep", action="store_true", help="keep the folders, and print where")
    return parser


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _chosen(names: Sequence[str] | None) -> list[Entry]:
    known = {entry.name: entry for entry in TABLE}
    for name in names or ():
        if name not in known:
            raise CompareError(f"no recipe is named {name}; known are {', '.join(known)}")
    return [entry for entry in TABLE if names is None or entry.name in names]


@contextmanager
def _workplace(*, keep: bool) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="compare-")).resolve()
    try:
        yield place
    finally:
        if keep:
            print(f"kept: {place}")
        else:
            # A second Ctrl-C would leave it behind.
            before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}
            shutil.rmtree(place, ignore_errors=True)
            for number, handler in before.items():
                signal.signal(number, handler)


def _sides(options: argparse.Namespace, place: Path) -> tuple[Side, Side]:
    if options.folder is not None and not options.folder.is_dir():
        raise CompareError(f"{options.folder} is not a folder")
    commit = commit_of(ROOT, options.revision)
    few = sources.plant(place / SOURCES, options.folder)
    sides = []
    for name in ("old", "new"):
        side = Side(name, place / name, few, options.jobs)
        sources.plant_assets(side.place / "assets")
        shutil.copytree(place / SOURCES, side.place / SOURCES)
        sides.append(side)
    shutil.rmtree(place / SOURCES)
    old, new = sides
    check_out(ROOT, commit, old.code)
    copy_tree(ROOT, new.code)
    for side in sides:
        side.compile()
        side.check()
    return old, new


def _compared(
    entries: Sequence[Entry], old: Side, new: Side, shown: int | None
) -> Iterator[Comparison]:
    """Each entry, run by both, taking turns to go first. Prints differences at once."""
    begun = time.monotonic()
    for number, entry in enumerate(entries):
        if sys.stderr.isatty():
            print(f"\r\x1b[K{number + 1}/{len(entries)} {entry.name}", end="", file=sys.stderr)
        sides = (old, new) if number % 2 else (new, old)
        outcomes = {side.name: side.run(entry) for side in sides}
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)
        found = compared(entry, outcomes["old"], outcomes["new"])
        for line in differences(found, shown):
            print(line, flush=True)
        yield found
    print(f"{len(entries)} recipes in {time.monotonic() - begun:.0f} s", file=sys.stderr)
