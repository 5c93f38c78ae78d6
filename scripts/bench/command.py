"""Measures imgbatch against its peers: same photos, same work, same machine.

    scripts/tool bench                             row 1, with computed photos
    scripts/tool bench ~/Pictures --photos 50      the first 50 JPEGs below a folder
    scripts/tool bench --rows 1,2,6 --json a.json  some rows (or all), stored as JSON
    scripts/tool bench --from a.json --from b.json --markdown --plot chart.png
    scripts/tool bench --only imgbatch,sharp       some tools
    scripts/tool bench --install-peers             install the peers first
    scripts/tool bench --startup                   what starting imgbatch costs
    scripts/tool bench --stages                    where the time of one photo goes
    scripts/tool bench --calls [--update]          function calls for each small file
    scripts/tool bench --instructions              instructions for each small file (valgrind)

Rows are in bench/works.py, tools in bench/peers.py. Every tool runs once in each round, and each
round starts with a different tool, so that a temporarily slow machine is slow for all. A round that
is not counted comes first: it fills the file cache, and after it all output is checked. Wall time,
CPU time (of all processes) and memory are medians over the rounds; ratios are medians of each
round's own ratio, imgbatch divided by the tool, so less than 1 is in imgbatch's favour. The best
peer is the fastest of those that do the same work. Needs Linux or macOS; on macOS neither memory
nor the CPU time of orphaned processes is measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path

from bench import (
    install,
    overhead,
    photos,
    plot,
    quality,
    results,
    rounds,
    sources,
    stages,
    startup,
    tables,
    works,
)
from bench.measure import adopt_orphans
from bench.peers import PEERS
from bench.task import OPTIMIZE, Place

PHOTOS = 100
DIFFERENT = 24
"""This many photos are computed if none are given; for more, these are repeated."""
FIRST_ROWS = "1"
EXPECTED = (
    photos.NoPhotosError,
    quality.BrokenPhotoError,
    results.UnreadableError,
    stages.FailedError,
    overhead.UncountedError,
)


def main() -> int:
    """Run the command line; return the exit code."""
    options = parsed()
    # As an exception, so that running programs are stopped and their output is removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    work: Path = options.work.resolve()
    place = Place(work, options.sharp)
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    if work.stat().st_uid != os.getuid():
        # Programs are run from there, and the default is a folder that anybody may create.
        say(f"error: {work} belongs to another user: give another --work")
        return 2
    if not adopt_orphans():
        say("note: CPU time of processes that outlive their parents is not measured on this system")
    if options.install_peers:
        install.install_peers(work, say)
    try:
        if options.startup:
            print(startup.measured(place, say))
        if options.stages:
            show_stages(options, place)
        if options.calls:
            show_calls(options, place)
        if options.instructions:
            show_instructions(place)
        if options.startup or options.stages or options.calls or options.instructions:
            return 0
        found = results.read(options.earlier)
        measure(options, place, found)
    except EXPECTED as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    show(found, options)
    return 0


def measure(options: argparse.Namespace, place: Place, found: results.Results) -> None:
    """Measure the requested rows; each is stored as soon as it is done."""
    if not options.rows:
        return
    chosen = chosen_photos(options, place, PHOTOS)
    found.machine = machine()
    for work in options.rows:
        gathered = sources.gathered(work.source, chosen, options.mixed, place.work, say)
        found.rows[work.row] = rounds.measured(
            work,
            gathered,
            place,
            rounds=options.rounds,
            jobs=options.jobs,
            only=options.only,
            say=say,
        )
        if options.json:
            results.write(found, options.json)


def chosen_photos(options: argparse.Namespace, place: Place, most: int) -> list[Path]:
    """Copies of the photos, as many as requested."""
    count = options.photos or most
    folder = options.folder or photos.synthetic(min(count, DIFFERENT), place.work, say)
    return photos.select(folder, count, place.work)


def show_stages(options: argparse.Namespace, place: Place) -> None:
    found = stages.measured(chosen_photos(options, place, stages.PHOTOS), place, say)
    cells = [(name, f"{milliseconds:.1f}") for name, milliseconds in found]
    print(tables.table(("work", "ms"), cells, markdown=options.markdown))


def show_calls(options: argparse.Namespace, place: Place) -> None:
    """Function calls for each small file, next to the committed ones."""
    found = overhead.calls(place.python)
    known = overhead.figures().get(overhead.version(), {}) if overhead.FIGURES.exists() else {}
    for name, value in found.items():
        before = f"; committed: {known[name]:.1f}" if name in known else ""
        print(f"{name:8}{value:8.1f} calls per file{before}")
    if options.update:
        overhead.update(found)


def show_instructions(place: Place) -> None:
    """Machine instructions for each small file, twice: they should be nearly the same."""
    for _ in range(2):
        each, starting = overhead.instructions(place.python)
        print(f"{each:14,.0f} instructions per file, {starting:16,.0f} for starting")


def show(found: results.Results, options: argparse.Namespace) -> None:
    """Print the results and write the requested files."""
    for line in found.machine:
        print(line)
    print()
    print(tables.summary(found, markdown=options.markdown))
    for row in found.in_order():
        print()
        print(tables.details(row, markdown=options.markdown))
    if options.json:
        results.write(found, options.json)
    if options.plot:
        try:
            plot.draw(found, options.plot)
        except plot.NothingToPlotError as error:
            say(f"no chart: {error}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", nargs="?", type=Path, metavar="PHOTOS_DIR", help="default: computed photos")
    names = ",".join(works.ROWS)
    add("--rows", type=row_names, metavar="ROW,...", help=f"all, or some of {names} (default: 1)")
    add("--photos", type=positive, metavar="N", help=f"how many (default: {PHOTOS})")
    add("--mixed", type=Path, metavar="DIR", help="JPEGs for row 10 (default: the photos)")
    add("--rounds", type=positive, default=5, metavar="N", help="counted rounds (default: 5)")
    add("--jobs", type=positive, default=2, metavar="N", help="processes of each tool (default: 2)")
    add("--only", type=tool_names, metavar="NAME,...", help=", ".join(one.name for one in PEERS))
    add("--markdown", action="store_true", help="print tables for the documentation")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    add(
        "--from",
        type=Path,
        action="append",
        default=[],
        dest="earlier",
        metavar="FILE",
        help="read rows from a --json file; repeatable. With it only the given --rows are measured",
    )
    add("--plot", type=Path, metavar="FILE.png", help="draw rows 1, 3 and 7")
    add("--startup", action="store_true", help="measure only what starting imgbatch costs")
    add("--stages", action="store_true", help="measure only where the time of one photo goes")
    add("--calls", action="store_true", help="count only function calls for each small file")
    add(
        "--update",
        action="store_true",
        help="with --calls: commit them in tests/scripts/overhead.json",
    )
    add("--instructions", action="store_true", help="count only instructions, with valgrind")
    add("--install-peers", action="store_true", help="install what is available, then go on")
    add("--sharp", type=Path, metavar="DIR", help="a folder with node_modules/sharp in it")
    default_work = Path(tempfile.gettempdir()) / "imgbatch-bench"
    add("--work", type=Path, default=default_work, metavar="DIR", help=f"default: {default_work}")
    options = parser.parse_args()
    for folder in (options.folder, options.mixed):
        if folder and not folder.is_dir():
            parser.error(f"no such folder: {folder}")
    if options.rows is None and not options.earlier:
        options.rows = works.chosen(FIRST_ROWS)
    return options


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def row_names(text: str) -> tuple[works.Work, ...]:
    try:
        return works.chosen(text)
    except KeyError as error:
        known = ", ".join(works.ROWS)
        raise argparse.ArgumentTypeError(f"{error.args[0]} is none of {known}") from None


def tool_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [peer.name for peer in PEERS]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(known)}")
    return names


def say(text: str) -> None:
    """Print to standard error: standard output has only the tables."""
    print(text, file=sys.stderr, flush=True)


def machine() -> list[str]:
    """What the numbers depend on."""
    return [
        f"{os.cpu_count()} processors, {processor()}; {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, load at the start {os.getloadavg()[0]:.1f}",
        f"JPEG in 4:2:0 with {'optimised' if OPTIMIZE else 'standard'} Huffman tables",
    ]


def processor() -> str:
    """The processor's name, if the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"
