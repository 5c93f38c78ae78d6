"""One job becomes one result. Knows pictures and files, but no processes.

`process` never raises for what a file or a disk can do: it returns a failed Result.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from PIL import Image

from imgbatch import atomic, checksum, runlog
from imgbatch.checksum import crc32
from imgbatch.errors import MORE_MEMORY, PictureError, is_short_of_memory
from imgbatch.imaging import decode, formats, opening
from imgbatch.imaging import resample as _resample  # noqa: F401
from imgbatch.imaging.encode import Encoded
from imgbatch.making import Made, ShareExceededError, make
from imgbatch.model import (
    UP_TO_DATE,
    Failure,
    FileState,
    Job,
    Notice,
    Result,
    Run,
    Source,
    Target,
    Written,
)
from imgbatch.recipe import Recipe
from imgbatch.runlog import Entry

# Loaded here, and `resample` above, because nearly every job needs them and workers are forked
# from a process that has imported this module.
formats.load_plugin(formats.BY_NAME["jpeg"])
# Pillow would do that in each of them, at the first picture.
Image.preinit()

# Freed memory is kept for the next picture: to take it from the system again, page by page, costs
# a photo of 24 MP some 5 % of its time. glibc keeps so much at the end of its heap, and cuts blocks
# up to this size from there (mallopt(3));
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_IDLE_HEAP = 256 << 20
_LARGEST_IN_HEAP = 32 << 20
# elsewhere Pillow itself keeps so many blocks of 16 MB.
_KEPT_BLOCKS = 16


# What a picture loses that cannot be seen in the result, so that only the original has it.
_LOSSES = frozenset(
    {
        *("frames-dropped", "gain-map-dropped", "video-dropped", "sizes-dropped"),
        *("depth-reduced", "range-scaled", "truncated"),
        *("profile-dropped", "metadata-dropped", "exif-broken"),
    }
)

_MADE_AGAIN = Notice(
    "made-again", "it was made in place before, and now again from that, not from the original"
)


def tune_process() -> None:
    """Set a process that does nothing but this up for it; not for a process that is a guest."""
    # The workers already share the processors between them. NumPy is not loaded yet, if at all.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_IN_HEAP)
        libc.mallopt(_M_TRIM_THRESHOLD, _IDLE_HEAP)
    else:
        # The type stubs of Pillow's C part leave this out.
        Image.core.set_blocks_max(_KEPT_BLOCKS)  # type: ignore[attr-defined]
    opening.silence_codecs()
    # What is loaded by now stays: the collector need not look through it for what could go.
    gc.freeze()


def process(job: Job, share: float, recipe: Recipe, run: Run) -> Result | None:
    """Make all outputs of one source, or none.

    Everything is encoded before anything is written, and everything is written under temporary
    names before the first is published. `share` is the part of the run's memory that this job
    may take, 0 to 1: None if it needs more, and nothing was done.
    """
    begun = time.perf_counter()
    try:
        if run.in_place and (before := _replaced_before(job, run)):
            return Result(job.source, "done", before, seconds=time.perf_counter() - begun)
        needed = checksum.still_needed(job)
        if needed is not job:
            _remember(job, needed, run)
            if not needed.targets:
                seconds = time.perf_counter() - begun
                return Result(job.source, "skipped", reason=UP_TO_DATE, seconds=seconds)
            job = needed
        made = make(job, share, recipe, run)
        # Before anything is published: what cannot be told would be made in silence.
        notices = _unique(notice for one in made.files for notice in one.notices)
        notices += (_MADE_AGAIN,) if any(target.again for target in job.targets) else ()
        if run.strict and notices:
            messages = "; ".join(notice.message for notice in notices)
            raise PictureError("encode", notices[0].kind, f"{messages} (and --strict was given)")
        written = _replace(job, made, run) if run.in_place else _publish(job, made, run)
        if not written:
            return Result(job.source, "skipped", reason=_there(job.targets))
    except ShareExceededError:
        return None
    except PictureError as error:
        return _failed(job.source, error.failure, begun)
    except Exception as error:
        if is_short_of_memory(error):
            words = f"not enough memory for this picture: {MORE_MEMORY}"
            return _failed(job.source, Failure("operate", "memory", words), begun)
        message = f"{type(error).__name__}: {error} (this is a bug in imgbatch)"
        return _failed(job.source, Failure("operate", "internal", message), begun)
    return Result(job.source, "done", written, notices, seconds=time.perf_counter() - begun)


def lost(job: Job, kind: str, message: str, run: Run) -> Result:
    """The outcome of a job whose worker process died, or was killed because it took too long.

    If it had published everything by then, the job is done; if it had published something, that
    is taken back, as far as it replaced nothing.
    """
    there = any(one.any_suffix or os.path.lexists(one.path) for one in job.targets)
    result = _cut_off(job, _logged(run) if there else {}, run)
    return result or Result.failed(job.source, Failure("worker", kind, message))


def finished(jobs: Iterable[Job], run: Run) -> Iterator[Result]:
    """The results of those jobs that had published everything when the run was interrupted.

    What others had published is taken back, as far as it replaced nothing.
    """
    logged = _logged(run)
    for job in jobs:
        result = _cut_off(job, logged, run)
        if result is not None:
            yield result


def _cut_off(job: Job, logged: Mapping[str, Sequence[Entry]], run: Run) -> Result | None:
    made = list(_published(job, logged, run))
    if job.targets and len(made) == len(job.targets):
        return Result(job.source, "done", tuple(written for _, written, _ in made))
    for target, written, state in made:
        if not target.replace and target.known is None:
            atomic.take_back(written.path, state)
    return None


def _logged(run: Run) -> dict[str, list[Entry]]:
    """What this run's processes were about to publish, by target."""
    found: dict[str, list[Entry]] = {}
    # What cannot be read is no proof.
    with suppress(OSError):
        for log in runlog.logs(run.output).get(run.word, []):
            for entry in runlog.read_all(log):
                if not entry.kept:
                    found.setdefault(entry.target, []).append(entry)
    return found


def _failed(source: Source, failure: Failure, begun: float) -> Result:
    return Result.failed(source, failure, time.perf_counter() - begun)


def _remember(job: Job, needed: Job, run: Run) -> None:
    """Tell the journal that the source of some targets was touched, and has its old content."""
    entries = []
    # What is not remembered is compared once more by the next run.
    with suppress(OSError):
        for target in job.targets:
            if target not in needed.targets:
                # In place the source is what was made.
                whole = checksum.of_file(target.path) if run.in_place else None
                state = target.known or job.source.state
                entries.append(Entry(target.relative, state, hash=whole, kept=True))
        runlog.write(run.output, run.word, entries)


def _publish(job: Job, made: Made, run: Run) -> tuple[Written, ...]:
    targets = [_settled(target, one) for target, one in zip(job.targets, made.files, strict=True)]
    mtime_ns = job.source.mtime_ns if run.preserve_dates else None
    staged: list[atomic.Staged] = []
    ours: list[tuple[str, FileState]] = []
    others: set[str] = set()
    path = ""
    try:
        for target, one in zip(targets, made.files, strict=True):
            path = target.path
            staged.append(atomic.stage(path, one.data, run.word, mtime_ns=mtime_ns))
        path = run.output
        entries = _entries(job, targets, staged, made)
        runlog.write(run.output, run.word, entries)
        for target, file, entry in zip(targets, staged, entries, strict=True):
            path = file.target
            try:
                log_copy = partial(_log_again, run, entry)
                known = target.known if _is_still_ours(target, path) else None
                replaced = file.publish(replace=target.replace, known=known, on_copy=log_copy)
                state = file.state
            except FileExistsError:
                before = _published_before(file, entry, run)
                if before is None:
                    if not _is_left_over(target, file, entry, run):
                        if not run.skip_existing:
                            raise
                        others.add(path)
                    continue
                state, replaced = before, target.replace or target.known is not None
            if not replaced:
                ours.append((path, state))
    except OSError as error:
        # All or none: what replaced something cannot be taken back, what was new can.
        for new, state in ours:
            atomic.take_back(new, state)
        raise PictureError("write", *_explained(error, path, job.targets)) from error
    finally:
        # Those that were published are gone from under their temporary names.
        for file in staged:
            file.discard()
    written = _written(targets, made.files, [file.target for file in staged])
    return tuple(one for one in written if one.path not in others) if others else written


def _is_still_ours(target: Target, path: str) -> bool:
    """Whether what stands there is what was made, where its state alone does not tell."""
    return target.known_hash is None or checksum.matches(path, target.known_hash)


def _entries(
    job: Job, targets: Sequence[Target], staged: Sequence[atomic.Staged], made: Made
) -> list[Entry]:
    return [
        Entry(
            planned.relative,
            file.state,
            None if target is planned else target.relative,
            crc32(one.data),
            made.source_hash,
        )
        for planned, target, file, one in zip(job.targets, targets, staged, made.files, strict=True)
    ]


def _published_before(file: atomic.Staged, entry: Entry, run: Run) -> FileState | None:
    """The state of what stands at a target, if this job's first attempt put it there.

    Its worker may have died, or been taken for dead. The same bytes of anybody else prove nothing.
    """
    there = atomic.state(file.target)
    with suppress(OSError):
        logs = runlog.logs(run.output).get(run.word, [])
        for one in runlog.entries_of(entry.target, logs):
            if one.path == entry.path and one.made.equals(there) and not one.kept:
                return there
    return None


def _is_left_over(target: Target, file: atomic.Staged, entry: Entry, run: Run) -> bool:
    """Whether what stands at a target is this very output, left by a run that did not end.

    What a power cut left of it is replaced.
    """
    there = atomic.state(file.target)
    if there is None or not target.claimed:
        return False
    if target.relative != (target.standing or entry.target):
        return False
    if file.is_at_target():
        _log_again(run, entry, there)
        return True
    if file.is_torn_at_target():
        file.publish(known=there)
        return True
    return False


def _replace(job: Job, made: Made, run: Run) -> tuple[Written, ...]:
    """Put the one output in its source's place; at every moment one of the two is whole there."""
    (target,), (one,) = job.targets, made.files
    lossy = [notice.message for notice in one.notices if notice.kind in _LOSSES]
    if lossy and run.backup is None:
        raise PictureError(
            "write", "would-lose", f"{lossy[0]}: in place that needs a --backup folder"
        )
    path = target.path
    mtime_ns = job.source.mtime_ns if run.preserve_dates else None
    staged = None
    try:
        if one.copied and target.known is not None:
            # It stays as it is, and no later run needs to look at it again.
            whole = crc32(one.data)
            entry = Entry(target.relative, target.known, hash=whole, source_hash=whole)
            runlog.write(run.output, run.word, [entry], durable=True)
            return _written([target], made.files, [path])
        staged = atomic.stage(path, one.data, run.word, like=path, durable=True, mtime_ns=mtime_ns)
        if not _is_what_was_read(target, made):
            raise _changed(path)
        if run.backup is not None:
            path = os.path.join(run.backup, *job.source.mirrored.split("/"))
            _back_up(job, path, run)
            path = target.path
        entry = Entry(
            target.relative, staged.state, hash=crc32(one.data), source_hash=made.source_hash
        )
        runlog.write(run.output, run.word, [entry], durable=True)
        if not _is_what_was_read(target, made):
            raise _changed(path)
        staged.publish(replace=True)
    except OSError as error:
        raise PictureError("write", *_explained(error, path, job.targets)) from error
    finally:
        if staged is not None:
            staged.discard()
    return _written([target], made.files, [path])


def _is_as_scanned(target: Target) -> bool:
    """Whether the file at a target that is to be replaced is the one that was scanned.

    A first attempt may have linked it into the backup, which changes its ctime.
    """
    known = target.known
    return known is not None and known._replace(ctime_ns=0).equals(atomic.state(target.path))


def _is_what_was_read(target: Target, made: Made) -> bool:
    """Whether a source has still the content that its result was made of.

    Its ctime changes where it gets another name in the backup, or loses one to a result.
    """
    if target.known is not None and target.known.equals(atomic.state(target.path)):
        return True
    whole = made.source_hash
    return _is_as_scanned(target) and whole is not None and checksum.matches(target.path, whole)


def _replaced_before(job: Job, run: Run) -> tuple[Written, ...]:
    """What the job's first attempt made, if it died after it had replaced the source.

    Raises PictureError if somebody else changed the source since the scan.
    """
    if all(_is_as_scanned(one) or atomic.state(one.path) is None for one in job.targets):
        return ()
    made = tuple(written for _, written, _ in _published(job, _logged(run), run))
    if not made:
        raise PictureError("open", "changed", "it was changed since the scan, and left as it is")
    return made


def _log_again(run: Run, entry: Entry, state: FileState) -> None:
    """The same of a file in another state."""
    runlog.write(run.output, run.word, [entry._replace(made=state)])


def _there(targets: Iterable[Target]) -> str:
    return f"already there: {', '.join(target.path for target in targets)}"


def _published(
    job: Job, logged: Mapping[str, Sequence[Entry]], run: Run
) -> Iterator[tuple[Target, Written, FileState]]:
    """The targets of a job that an attempt before has published, by the logs of the run."""
    for target in job.targets:
        for entry in logged.get(target.relative, ()):
            if entry.found(run.output) is None:
                continue
            path = replace(target, relative=entry.path or target.relative).path
            with suppress(PictureError):
                header = decode.read_header(path)
                size = entry.made.size
                written = Written(target.output, path, *header.size, size, header.format)
                yield target, written, entry.made
                break


def _changed(path: str) -> PictureError:
    return PictureError("write", "changed", f"{path} was changed meanwhile and was left as it is")


def _back_up(job: Job, path: str, run: Run) -> None:
    try:
        atomic.keep_copy(job.source.path, path, run.word)
    except FileExistsError:
        # What is there may be the original of the picture that is now made anew.
        if not job.targets[0].again:
            raise PictureError(
                "write",
                "exists",
                f"{path} is there already, with another content: use another --backup folder",
            ) from None


def _written(
    targets: Sequence[Target], files: Sequence[Encoded], paths: Sequence[str]
) -> tuple[Written, ...]:
    return tuple(
        Written(target.output, path, *one.size, len(one.data), one.format.name, one.copied)
        for target, one, path in zip(targets, files, paths, strict=True)
    )


def _settled(target: Target, encoded: Encoded) -> Target:
    """With the suffix of the format that the source turned out to have.

    Such a path was not checked by the plan, so it may not replace just anything.
    """
    if not target.any_suffix or target.relative.endswith(encoded.format.suffixes):
        return target
    stem, suffix = os.path.splitext(target.relative)
    right = encoded.format.suffix_for(suffix)
    if right == suffix:
        return target
    return replace(target, relative=stem + right, replace=False)


def _explained(error: OSError, path: str, planned: Sequence[Target]) -> tuple[str, str]:
    if isinstance(error, FileExistsError):
        words = f"{path} exists already and was left as it is"
        if any(target.known or target.unless is not None for target in planned):
            words = f"{path} was changed since imgbatch made it, and was left as it is"
        if path in [target.path for target in planned]:
            return "exists", f"{words} (see --on-conflict)"
        return "exists", (
            f"{words}: the suffix of this picture is wrong, and with the right one its output has "
            "that name. Rename the picture, or use another --name"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk-full", f"no space left to write {path}"
    if error.errno == errno.EFBIG:
        return "file-too-large", f"the file system or a limit does not allow the size of {path}"
    if error.errno in (errno.EROFS, errno.EIO):
        return "disk-broken", f"the disk does not take {path}: {error.strerror}"
    return "unwritable", f"cannot write {path}: {error.strerror}"


def _unique(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Each once, and as plain text, whatever an operation may have put there."""
    return tuple(dict.fromkeys(Notice(notice.kind, f"{notice.message}") for notice in notices))
