"""The table of peers: how to find each tool, and its fastest fair settings.

The settings were measured with 24 MP photos on two processors; what lost is named beside them.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench_peers.measure import Command

OPTIMIZE = False
"""Whether JPEGs get optimised Huffman tables: 3 % smaller, 2 ms more. It should say what imgbatch
does; all peers are told to do the same."""

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class NotInstalledError(Exception):
    """Says why a tool cannot take part."""


@dataclass(frozen=True)
class Place:
    """Where tools are looked for."""

    work: Path
    sharp: Path | None = None

    @property
    def python(self) -> str:
        """The interpreter that imgbatch is developed with, or else this one."""
        own = ROOT / ".venv" / "bin" / "python"
        return str(own) if own.exists() else sys.executable

    @property
    def pythons(self) -> tuple[str, ...]:
        """Interpreters that may know pyvips and imgp, the first choice first."""
        return (str(self.work / "venv" / "bin" / "python"), self.python, sys.executable)


@dataclass(frozen=True)
class Task:
    """What every tool is told to do; `out` is for this tool alone and empty."""

    photos: tuple[Path, ...]
    out: Path
    size: int
    quality: int
    jobs: int

    @property
    def folder(self) -> Path:
        """Where the photos are, and nothing else."""
        return self.photos[0].parent

    @property
    def box(self) -> str:
        """The size as ImageMagick's relatives write it."""
        return f"{self.size}x{self.size}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """What our own small programs take."""
        numbers = (self.size, self.quality, int(OPTIMIZE))
        return (str(self.folder), str(self.out), *map(str, numbers))

    def in_lanes(self, per_lane: int, *argv: str, **environment: str) -> Command:
        """`argv` through xargs: `jobs` processes at a time, `per_lane` times one after another."""
        batch = max(1, math.ceil(len(self.photos) / (self.jobs * per_lane)))
        return Command(
            ("xargs", "-0", "-n", str(batch), "-P", str(self.jobs), *argv),
            environment,
            # Names alone: `gm mogrify` puts the whole path it was given below its output folder.
            self.folder,
            b"".join(os.fsencode(photo.name) + b"\0" for photo in self.photos),
        )


def nothing_to_prepare(task: Task) -> None:
    """Most tools read the photos where they are."""


@dataclass(frozen=True)
class Peer:
    """One tool. `version` raises NotInstalledError; `prepare` is not measured."""

    name: str
    version: Callable[[Place], str]
    command: Callable[[Place, Task], Command]
    jobs: int | None = None
    output: str = "{stem}.jpg"
    notes: tuple[str, ...] = ()
    prepare: Callable[[Task], None] = nothing_to_prepare


def said(*argv: str, folder: Path | None = None) -> str:
    """The first line that a command prints; raises NotInstalledError if it fails."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=60, cwd=folder
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"{argv[0]} cannot be run: {error}") from error
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    if done.returncode != 0:
        # Of a traceback the last line is the one that says something.
        raise NotInstalledError(lines[-1][:100] if lines else f"exit code {done.returncode}")
    return lines[0] if lines else ""


def program(*names: str) -> str:
    """The path of the first of these programs that there is."""
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    raise NotInstalledError(f"no {' or '.join(names)} in PATH")


# imgbatch and its own library calls ----------------------------------------------------------


def imgbatch_version(place: Place) -> str:
    # In the repository's folder, so that this checkout is measured, installed or not.
    return said(place.python, "-m", "imgbatch", "--version", folder=ROOT).rpartition(" ")[2]


def imgbatch_command(place: Place, task: Task) -> Command:
    argv = [place.python, "-m", "imgbatch", "resize", task.folder, "-o", task.out]
    options = ["-s", task.size, "-q", task.quality, "--jobs", task.jobs, "--quiet"]
    return Command(tuple(map(str, argv + options)), folder=ROOT)


def floor_version(place: Place) -> str:
    modules = "PIL, cykooz_resizer; from importlib.metadata import version"
    show = "'Pillow ' + version('pillow') + ', cykooz-resizer ' + version('cykooz-resizer')"
    return said(place.python, "-c", f"import {modules}; print({show})")


def floor_command(place: Place, task: Task) -> Command:
    return Command((place.python, str(HERE / "floor.py"), *task.arguments))


def pillow_version(place: Place) -> str:
    return "Pillow " + said(place.python, "-c", "import PIL; print(PIL.__version__)")


def pillow_command(place: Place, task: Task) -> Command:
    argv = (place.python, str(HERE / "pillow_pool.py"), *task.arguments, str(task.jobs))
    return Command(argv)


# libvips -------------------------------------------------------------------------------------


def sharp_modules(place: Place) -> Path:
    """The folder whose node_modules hold sharp."""
    # Named may be the folder itself, its node_modules (as in NODE_PATH) or sharp in there.
    named = [place.sharp.resolve()] if place.sharp else []
    named += [Path(one) for one in os.environ.get("NODE_PATH", "").split(os.pathsep) if one]
    above = [holder for folder in named for holder in (folder, *folder.parents[:2])]
    for holder in (*above, place.work, HERE, HERE.parent, ROOT):
        if (holder / "node_modules" / "sharp" / "package.json").is_file():
            return holder
    raise NotInstalledError("no node_modules with sharp: see --sharp and --install-peers")


def sharp_version(place: Place) -> str:
    node = program("node")
    modules = sharp_modules(place) / "node_modules" / "sharp"
    show = "v.sharp + ', libvips ' + v.vips + ', node ' + process.versions.node"
    return said(node, "-e", f"const v = require({str(modules)!r}).versions; console.log({show})")


def sharp_command(place: Place, task: Task) -> Command:
    # Two photos in flight for each processor hide the waits; where processors are to spare that
    # would be more of them than --jobs says. Equally fast within noise: sharp.concurrency(2),
    # the cache, buffers instead of paths. Slower: one photo at a time with two threads.
    spare = (os.cpu_count() or 1) > task.jobs
    in_flight = str(task.jobs if spare else 2 * task.jobs)
    script = str(HERE / "sharp_resize.mjs")
    argv = (program("node"), script, str(sharp_modules(place)), *task.arguments, in_flight)
    return Command(argv, {"UV_THREADPOOL_SIZE": in_flight})


def python_with(place: Place, module: str) -> str:
    """The first interpreter that can import `module`."""
    for python in dict.fromkeys(place.pythons):
        if Path(python).exists():
            try:
                said(python, "-c", f"import {module}")
            except NotInstalledError:
                continue
            return python
    raise NotInstalledError(f"no interpreter here can import {module}")


def pyvips_version(place: Place) -> str:
    show = "p.__version__ + ', libvips %d.%d.%d' % tuple(p.version(i) for i in range(3))"
    return said(python_with(place, "pyvips"), "-c", f"import pyvips as p; print({show})")


def pyvips_command(place: Place, task: Task) -> Command:
    # As fast: chunks of 4 photos. Slower: spawned processes, two threads in each.
    script = str(HERE / "pyvips_pool.py")
    return Command((python_with(place, "pyvips"), script, *task.arguments, str(task.jobs)))


def vipsthumbnail_version(place: Place) -> str:
    return said(program("vipsthumbnail"), "--version").removeprefix("vips-")


def vipsthumbnail_command(place: Place, task: Task) -> Command:
    # One process for each photo takes 10 to 20 % more. Turns upright and keeps all by default.
    options = f"Q={task.quality},subsample_mode=on" + (",optimize_coding" if OPTIMIZE else "")
    return task.in_lanes(
        2,
        "vipsthumbnail",
        "--size",
        f"{task.box}>",
        "-o",
        f"{task.out}/%s.jpg[{options}]",
        VIPS_CONCURRENCY="1",
    )


# Magick --------------------------------------------------------------------------------------

# The hint for the decoder is the target itself: both then halve 24 MP for 1600 and keep what
# they need. With twice the size, which many recommend, they decode in full and take double.


def magick_options(task: Task) -> tuple[str, ...]:
    # Resized first: there are fewer pixels to turn then. The default kernel is Lanczos3.
    tables = str(OPTIMIZE).lower()
    sampling = ("-sampling-factor", "2x2", "-define", f"jpeg:optimize-coding={tables}")
    shrink = ("-resize", f"{task.box}>", "-auto-orient")
    return (*shrink, "-quality", str(task.quality), *sampling)


def gm_version(place: Place) -> str:
    return " ".join(said(program("gm"), "version").split()[1:2])


def gm_command(place: Place, task: Task) -> Command:
    # One `gm convert` for each photo takes 10 to 20 % more, threads of OpenMP too. Not -thumbnail:
    # a third less time, but it drops metadata and loses 3 dB on fine detail.
    head = ("gm", "mogrify", "-output-directory", str(task.out), "-size", task.box)
    return task.in_lanes(1, *head, *magick_options(task), OMP_NUM_THREADS="1")


def imagemagick_mogrify() -> tuple[str, ...]:
    """Version 7's `magick mogrify`, or version 6's `mogrify`; other tools use that name too."""
    for argv in (("magick",), ("mogrify",)):
        if shutil.which(argv[0]) and "ImageMagick" in said(*argv, "-version"):
            return ("magick", "mogrify") if argv[0] == "magick" else argv
    raise NotInstalledError("no magick or mogrify of ImageMagick in PATH")


def imagemagick_version(place: Place) -> str:
    words = said(*imagemagick_mogrify()[:1], "-version").split()
    return words[words.index("ImageMagick") + 1]


def imagemagick_command(place: Place, task: Task) -> Command:
    # One `convert` for each photo takes 10 % more; -thumbnail is no faster here.
    head = ("-path", str(task.out), "-define", f"jpeg:size={task.box}")
    argv = (*imagemagick_mogrify(), *head, *magick_options(task))
    return task.in_lanes(2, *argv, OMP_NUM_THREADS="1", MAGICK_THREAD_LIMIT="1")


# imgp ----------------------------------------------------------------------------------------


def imgp_version(place: Place) -> str:
    show = "from importlib.metadata import version; print(version('imgp'))"
    return said(python_with(place, "imgp"), "-c", show)


def imgp_prepare(task: Task) -> None:
    """imgp writes where it reads: give it a folder of its own, of links to the copies."""
    for photo in task.photos:
        try:
            os.link(photo, task.out / photo.name)
        except OSError:
            shutil.copy2(photo, task.out / photo.name)


def imgp_command(place: Place, task: Task) -> Command:
    # A folder, because imgp works on single files one after another. Never -w: it would write
    # through the links.
    options = ["-m", "-x", task.box, "-q", str(min(task.quality, 95))]
    options += ["-O"] if OPTIMIZE else []
    script = str(HERE / "imgp_jobs.py")
    argv = (python_with(place, "imgp"), script, str(task.jobs), *options, str(task.out))
    return Command(argv)


PEERS = (
    Peer("imgbatch", imgbatch_version, imgbatch_command),
    Peer("imgbatch-1", imgbatch_version, imgbatch_command, jobs=1),
    Peer(
        "floor",
        floor_version,
        floor_command,
        jobs=1,
        notes=("the same library calls in a bare loop",),
    ),
    Peer("sharp", sharp_version, sharp_command),
    Peer("pyvips", pyvips_version, pyvips_command),
    Peer(
        "vipsthumbnail",
        vipsthumbnail_version,
        vipsthumbnail_command,
        notes=("decodes with a reserve of 2x",),
    ),
    Peer("gm", gm_version, gm_command),
    Peer("imagemagick", imagemagick_version, imagemagick_command),
    Peer(
        "imgp",
        imgp_version,
        imgp_command,
        output="{stem}_IMGP.jpg",
        notes=("resamples in linear light of 8 bits",),
        prepare=imgp_prepare,
    ),
    Peer("pillow", pillow_version, pillow_command, notes=("naive: no draft",)),
)
