"""The table of peers: how to find each tool, and its fastest fair settings.

The settings were measured with 24 MP photos on two processors; slower ones are named next to them.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

from bench.measure import Command
from bench.task import (
    HERE,
    OPTIMIZE,
    ROOT,
    NotInstalledError,
    Peer,
    Place,
    Task,
    program,
    python_with,
    said,
)
from bench.works import AVIF_SPEED, PNG_LEVEL, WEBP_EFFORT, Make

__all__ = ["BY_NAME", "HERE", "PEERS", "NotInstalledError", "Place", "python_with"]

# imgbatch and its own library calls ----------------------------------------------------------


def imgbatch_version(place: Place) -> str:
    # In the repository's folder, so that this checkout is measured, installed or not.
    return said(place.python, "-m", "imgbatch", "--version", folder=ROOT).rpartition(" ")[2]


def imgbatch_options(task: Task) -> list[str]:
    """The options of `imgbatch resize`, or of `imgbatch convert` where there is no size."""
    make = task.make
    options = [word for size in make.sizes for word in ("--size", str(size))]
    if any(photo.suffix != make.suffix for photo in task.photos):
        options += ["--format", make.format]
    options += [] if make.format == "png" else ["--quality", str(make.quality)]
    # Only non-default efforts: for WebP and PNG that of the others.
    options += ["--effort", str(11 - AVIF_SPEED)] if make.format == "avif" else []
    return options + (["--filter", "sharpen"] if make.sharpen else [])


def imgbatch_command(place: Place, task: Task) -> Command:
    argv = [place.python, "-m", "imgbatch", "resize" if task.make.sizes else "convert"]
    # A single photo is given by name, as people do.
    source = task.folder if len(task.photos) > 1 else task.photos[0]
    argv += [str(source), "-o", str(task.out), *imgbatch_options(task)]
    return Command((*argv, "--jobs", str(task.jobs), "--quiet"), folder=ROOT)


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


def vips_options(make: Make) -> dict[str, Any]:
    """What libvips calls the settings of a format's encoder."""
    if make.format == "jpeg":
        return {"Q": make.quality, "optimize_coding": OPTIMIZE, "subsample_mode": "on"}
    if make.format == "webp":
        return {"Q": make.quality, "effort": WEBP_EFFORT}
    if make.format == "avif":
        # By wall and CPU time of a single picture all tools here give libaom one thread.
        effort = 9 - AVIF_SPEED
        return {
            "Q": make.quality,
            "effort": effort,
            "compression": "av1",
            "subsample_mode": "on",
        }
    # As fast as level 6 with no filter, which is the default, and 30 % smaller.
    return {"compression": PNG_LEVEL, "filter": "all"}


def sharp_options(make: Make) -> dict[str, Any]:
    """The same settings in sharp's terms."""
    sampling = {"quality": make.quality, "chromaSubsampling": "4:2:0"}
    if make.format == "jpeg":
        return {**sampling, "mozjpeg": False, "optimiseCoding": OPTIMIZE}
    if make.format == "webp":
        return {"quality": make.quality, "effort": WEBP_EFFORT}
    if make.format == "avif":
        return {**sampling, "effort": 9 - AVIF_SPEED}
    return {}


def sharp_modules(place: Place) -> Path:
    """The folder whose node_modules hold sharp."""
    # The option may give the folder itself, its node_modules (as in NODE_PATH) or sharp in there.
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


def sharp_command(
    place: Place,
    task: Task,
    *,
    sharpen: str = "sigma",
    chained: bool = False,
    adaptive: bool = False,
) -> Command:
    # Two photos in flight for each processor hide the waits; with processors to spare that would be
    # more of them than --jobs says. Equally fast within noise: sharp.concurrency(2), the cache,
    # buffers instead of paths, jemalloc preloaded, which sharp recommends (neither less memory).
    # Slower: one photo at a time with two threads; one in flight for each processor.
    spare = (os.cpu_count() or 1) > task.jobs
    in_flight = task.jobs if spare else 2 * task.jobs
    make = task.make
    options = sharp_options(make)
    if adaptive:
        # As fast as its default, level 6 with no filter, and 30 % smaller. Level 1 is no faster and
        # makes files half as large again; 3, 4 and 6 take 5, 15 and 30 % more for 6 to 12 %.
        options |= {"adaptiveFiltering": True, "compressionLevel": PNG_LEVEL}
    request = {
        "modules": str(sharp_modules(place)),
        "photos": str(task.folder),
        "out": str(task.out),
        "lanes": in_flight,
        "sizes": make.sizes,
        "format": make.format,
        "suffix": make.suffix,
        "options": options,
        "sharpen": sharpen if make.sharpen else "none",
        "flatten": make.flatten,
        "chained": chained,
    }
    argv = (program("node"), str(HERE / "sharp_resize.mjs"), json.dumps(request))
    environment = {"UV_THREADPOOL_SIZE": str(in_flight)}
    return Command(argv, environment)


def sharp_mild(place: Place, task: Task) -> Command:
    return sharp_command(place, task, sharpen="mild")


def sharp_chained(place: Place, task: Task) -> Command:
    return sharp_command(place, task, chained=True)


def sharp_adaptive(place: Place, task: Task) -> Command:
    return sharp_command(place, task, adaptive=True)


def pyvips_version(place: Place) -> str:
    show = "p.__version__ + ', libvips %d.%d.%d' % tuple(p.version(i) for i in range(3))"
    return said(python_with(place, "pyvips"), "-c", f"import pyvips as p; print({show})")


def pyvips_command(place: Place, task: Task) -> Command:
    # As fast: chunks of 4 photos. Slower: spawned processes, two threads in each.
    request = {
        "photos": str(task.folder),
        "out": str(task.out),
        "jobs": task.jobs,
        "size": task.make.size,
        "suffix": task.make.suffix,
        "options": vips_options(task.make),
        "sharpen": task.make.sharpen,
        "flatten": task.make.flatten,
    }
    script = str(HERE / "pyvips_pool.py")
    return Command((python_with(place, "pyvips"), script, json.dumps(request)))


def vipsthumbnail_version(place: Place) -> str:
    return said(program("vipsthumbnail"), "--version").removeprefix("vips-")


def vipsthumbnail_command(place: Place, task: Task) -> Command:
    # One process for each photo takes 10 to 20 % more. Rotates upright and keeps all metadata by
    # default.
    make = task.make
    settings = dict(vips_options(make)) | ({"background": 255} if make.flatten else {})
    options = ",".join(f"{name}={str(value).lower()}" for name, value in settings.items() if value)
    number = "-{size}" if len(make.sizes) > 1 else ""
    lanes = [
        task.in_lanes(
            2,
            program("vipsthumbnail"),
            "--size",
            f"{size}x{size}>",
            "-o",
            f"{task.out}/%s{number.format(size=size)}{make.suffix}[{options}]",
            VIPS_CONCURRENCY="1",
        )
        for size in make.sizes
    ]
    if len(lanes) == 1:
        return lanes[0]
    # One run after the other, each with the same list of names.
    listed = shlex.quote(str(names_beside(task)))
    script = " && ".join(f"{shlex.join(lane.argv)} < {listed}" for lane in lanes)
    return Command(("sh", "-c", script), lanes[0].environment, task.folder)


def names_beside(task: Task) -> Path:
    """The file with the photos' names, next to the output folder."""
    return task.out.with_name(task.out.name + ".names")


def vipsthumbnail_prepare(place: Place, task: Task) -> None:
    names_beside(task).write_bytes(task.names)


# Magick --------------------------------------------------------------------------------------

# The hint for the decoder is the target itself: both then halve 24 MP for 1600 and keep what
# they need. With twice the size, which many recommend, they decode in full and take double.


def magick_options(task: Task) -> tuple[str, ...]:
    # Resized first, which leaves fewer pixels to rotate. The default kernel is Lanczos3.
    tables = str(OPTIMIZE).lower()
    sampling = ("-sampling-factor", "2x2", "-define", f"jpeg:optimize-coding={tables}")
    shrink = ("-resize", f"{task.box}>", "-auto-orient")
    return (*shrink, "-quality", str(task.make.quality), *sampling)


def gm_version(place: Place) -> str:
    return " ".join(said(program("gm"), "version").split()[1:2])


def gm_command(place: Place, task: Task) -> Command:
    # One `gm convert` for each photo takes 10 to 20 % more, threads of OpenMP too. Not -thumbnail:
    # a third less time, but it drops metadata and loses 3 dB on fine detail.
    head = (program("gm"), "mogrify", "-output-directory", str(task.out), "-size", task.box)
    return task.in_lanes(1, *head, *magick_options(task), OMP_NUM_THREADS="1")


def imagemagick_mogrify() -> tuple[str, ...]:
    """Version 7's `magick mogrify`, or version 6's `mogrify`."""
    path = program("mogrify")
    return (path, "mogrify") if os.path.basename(path) == "magick" else (path,)


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


def imgp_prepare(place: Place, task: Task) -> None:
    """imgp writes where it reads: give it a folder of its own with links to the copies."""
    for photo in task.photos:
        try:
            os.link(photo, task.out / photo.name)
        except OSError:
            shutil.copy2(photo, task.out / photo.name)


def imgp_command(place: Place, task: Task) -> Command:
    # A folder, because imgp processes single files one after another. Never -w: it would write
    # through the links.
    options = ["-m", "-x", task.box, "-q", str(min(task.make.quality, 95))]
    options += ["-O"] if OPTIMIZE else []
    script = str(HERE / "imgp_jobs.py")
    argv = (python_with(place, "imgp"), script, str(task.jobs), *options, str(task.out))
    return Command(argv)


def imgp_output(task: Task, photo: Path, size: int | None) -> str:
    return f"{photo.stem}_IMGP{task.make.suffix}"


# find ----------------------------------------------------------------------------------------


def find_version(place: Place) -> str:
    return said(program("find"), "--version").rpartition(" ")[2]


def find_command(place: Place, task: Task) -> Command:
    """What every second run must at least look up: each file's size and time."""
    show = ("-type", "f", "-printf", r"%s %T@ %p\n")
    return Command((program("find"), str(task.folder), str(task.out), *show))


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
    Peer("sharp-mild", sharp_version, sharp_mild),
    Peer("sharp-chained", sharp_version, sharp_chained),
    Peer("sharp-adaptive", sharp_version, sharp_adaptive, notes=("adaptiveFiltering, level 2",)),
    Peer("pyvips", pyvips_version, pyvips_command),
    Peer(
        "vipsthumbnail",
        vipsthumbnail_version,
        vipsthumbnail_command,
        notes=("decodes with a reserve of 2x",),
        prepare=vipsthumbnail_prepare,
    ),
    Peer("gm", gm_version, gm_command),
    Peer("imagemagick", imagemagick_version, imagemagick_command),
    Peer(
        "imgp",
        imgp_version,
        imgp_command,
        output=imgp_output,
        notes=("resamples in linear light of 8 bits",),
        prepare=imgp_prepare,
    ),
    Peer("pillow", pillow_version, pillow_command, notes=("naive: no draft",)),
    Peer("find", find_version, find_command, jobs=1, makes_pictures=False),
)

BY_NAME = {peer.name: peer for peer in PEERS}
