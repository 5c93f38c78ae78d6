"""One job becomes one result. It knows pictures and files, but no processes.

`process` never raises for what a file or a disk can do: it returns a failed Result.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain

from msgspec.structs import replace
from PIL import Image

from imgbatch.errors import MORE_MEMORY, PictureError, is_short_of_memory
from imgbatch.imaging import own_settings
from imgbatch.model import (
    Dated,
    Failure,
    Job,
    Notice,
    Result,
    Run,
    Target,
    up_to_date,
)
from imgbatch.recipes.recipe import Recipe
from imgbatch.running.pipeline import Finished, ShareExceededError, make
from imgbatch.running.publish import described, publish, replace_original
from imgbatch.running.recovery import replaced_before
from imgbatch.store import checksum, worker_log
from imgbatch.store.worker_log import Entry

# Freed memory is kept for the next picture: getting it from the system again, page by page, costs
# a photo of 24 MP some 5 % of its time. glibc keeps this much at the end of its heap, and takes
# blocks up to this size from there (mallopt(3));
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_IDLE_HEAP = 256 << 20
_LARGEST_IN_HEAP = 32 << 20
# elsewhere Pillow itself keeps this many blocks of 16 MB.
_KEPT_BLOCKS = 16


_MADE_AGAIN = Notice(
    "made-again", "it was made in place before, and is now remade from that, not from the original"
)


def tune_process() -> None:
    """Set up a process that does nothing but this work; not for a guest in another program."""
    # The workers already share the processors between them. NumPy is not loaded yet, if ever.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    keep_freed_memory()
    own_settings.silence_codecs()
    # What is loaded by now stays: the collector need not look through it for garbage.
    gc.freeze()


def keep_freed_memory() -> None:
    """Let this process keep freed memory for the next picture, for as long as it lives."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_IN_HEAP)
        libc.mallopt(_M_TRIM_THRESHOLD, _IDLE_HEAP)
    else:
        # The type stubs of Pillow's C module lack this one.
        Image.core.set_blocks_max(_KEPT_BLOCKS)  # type: ignore[attr-defined]


def process(
    job: Job,
    share: float,
    recipe: Recipe,
    run: Run,
    deliver: Callable[[tuple[bytes, ...]], object] | None = None,
) -> Result | None:
    """Make all outputs of one source, or none.

    Everything is encoded before anything is written, and everything is written under temporary
    names before the first is published. `share` is the part of the run's memory that this job
    may take, 0 to 1: returns None, having done nothing, if it needs more. With `deliver` that is
    given the finished files, and nothing is written.
    """
    begun = time.perf_counter()
    try:
        if run.in_place and (before := replaced_before(job, run)):
            return replace(before, seconds=time.perf_counter() - begun)
        needed = checksum.still_needed(job)
        if needed is not job:
            _remember(job, needed, run)
            job = needed
            if not job.targets:
                seconds = time.perf_counter() - begun
                return up_to_date(job.source, job.kept, strict=run.strict, seconds=seconds)
        made = make(job, share, recipe, run)
        # Before anything is published: otherwise a picture might be made without its warnings.
        told = notices_of(made, job)
        notices: tuple[Notice, ...] = ()
        if any(told) or job.kept:
            notices = unique(chain(*told, *(one.notices for one in job.kept)))
        refuse(notices, strict=run.strict)
        if deliver is not None:
            deliver(tuple(one.data for one in made.files))
            written = described(job, made)
        else:
            put = replace_original if run.in_place else publish
            written = put(job, made, told, run)
        if not written:
            return Result(job.source, "skipped", reason=_already_there(job.targets))
    except ShareExceededError:
        return None
    except Exception as error:
        return Result.failed(job.source, failure_of(error), time.perf_counter() - begun)
    seconds = time.perf_counter() - begun
    dated = job.dated or made.dated
    source = dated.source if dated else None
    return Result(job.source, "done", written, notices, seconds=seconds, date_source=source)


def failure_of(error: Exception) -> Failure:
    """Why a picture could not be made, from whatever was raised."""
    if isinstance(error, PictureError):
        return error.failure
    if is_short_of_memory(error):
        words = f"not enough memory for this picture: {MORE_MEMORY}"
        return Failure("operate", "memory", words)
    message = f"{type(error).__name__}: {error} (this is a bug in imgbatch)"
    return Failure("operate", "internal", message)


def notices_of(made: Finished, job: Job) -> list[tuple[Notice, ...]]:
    """The warnings about each of a job's pictures."""
    again = (_MADE_AGAIN,) if any(target.again for target in job.targets) else ()
    common = (*again, *_of_date(job.dated or made.dated))
    return [unique(found) if (found := one.notices + common) else () for one in made.files]


def refuse(notices: Sequence[Notice], *, strict: bool) -> None:
    """Raise PictureError if there are any warnings, and none are allowed."""
    if strict and notices:
        failure = Failure.of_notices(notices)
        raise PictureError(failure.stage, failure.kind, failure.message)


def _of_date(dated: Dated | None) -> tuple[Notice, ...]:
    """A warning if a date could not be read."""
    if dated is None or not dated.unread:
        return ()
    used = "the file's own time" if dated.source == "mtime" else dated.source
    message = f"the date {dated.unread} cannot be read; {used} was used instead"
    return (Notice("date-unreadable", message),)


def _remember(job: Job, needed: Job, run: Run) -> None:
    """Record that the source of some targets was touched but still has its old content."""
    entries = []
    # What is not recorded is compared again by the next run.
    with suppress(OSError):
        for target in job.targets:
            if target not in needed.targets:
                # In place the source is the result.
                whole = checksum.of_file(target.path) if run.in_place else None
                state = target.known or job.source.state
                entries.append(Entry(target.relative, state, hash=whole, kept=True))
        worker_log.write(run.output, run.word, entries)


def _already_there(targets: Iterable[Target]) -> str:
    return f"already there: {', '.join(target.path for target in targets)}"


def unique(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Each notice once, and as plain text, whatever an operation may have put there."""
    return tuple(dict.fromkeys(Notice(notice.kind, f"{notice.message}") for notice in notices))
