"""Finished files get their names: all of a source or none, and never over somebody else's."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from imgbatch.errors import PictureError
from imgbatch.imaging.encode import Encoded
from imgbatch.model import FileState, Job, Run, Target, Written
from imgbatch.running.pipeline import Finished
from imgbatch.store import checksum, local_files, worker_log
from imgbatch.store.crc import crc32
from imgbatch.store.worker_log import Entry

# Losses that cannot be seen in the result, so that only the original still has the data.
_LOSSES = frozenset(
    {
        *("frames-dropped", "gain-map-dropped", "video-dropped", "sizes-dropped"),
        *("depth-reduced", "inks-converted", "range-scaled", "tone-mapped", "truncated"),
        "damaged",
        *("profile-dropped", "metadata-dropped", "exif-broken"),
        *("credentials-dropped", "extras-dropped"),
    }
)


def publish(job: Job, made: Finished, run: Run) -> tuple[Written, ...]:
    """Write all outputs of a job under temporary names, then give them their own.

    Outputs that somebody else's file keeps out are missing from the result, if the run skips them.
    Raises PictureError; then nothing new is left behind.
    """
    targets = [settled(target, one) for target, one in zip(job.targets, made.files, strict=True)]
    mtime_ns = job.source.mtime_ns if run.preserve_dates else None
    staged: list[local_files.Staged] = []
    ours: list[tuple[str, FileState]] = []
    others: set[str] = set()
    path = ""
    try:
        for target, one in zip(targets, made.files, strict=True):
            path = target.path
            staged.append(local_files.stage(path, one.data, run.word, mtime_ns=mtime_ns))
        path = run.output
        entries = _entries(job, targets, staged, made)
        worker_log.write(run.output, run.word, entries)
        for target, file, entry in zip(targets, staged, entries, strict=True):
            path = file.target
            named = _give_name(target, file, entry, run)
            if named.new is not None:
                ours.append((path, named.new))
            if named.foreign:
                others.add(path)
    except OSError as error:
        # All or none: replaced files cannot be restored, new ones can be removed.
        for new, state in ours:
            local_files.take_back(new, state)
        raise PictureError("write", *_explained(error, path, job.targets)) from error
    finally:
        # Those that were published are gone from their temporary names.
        for file in staged:
            file.discard()
    written = _written(targets, made.files, [file.target for file in staged])
    return tuple(one for one in written if one.path not in others) if others else written


class _NameGiven(NamedTuple):
    """What became of a file: the state of a `new` one, which replaced nothing; `foreign` if the
    name is taken by somebody else's."""

    new: FileState | None = None
    foreign: bool = False


def _give_name(target: Target, file: local_files.Staged, entry: Entry, run: Run) -> _NameGiven:
    """Give a file its name. Raises FileExistsError if it is taken, unless the run skips such."""
    log_copy = partial(_log_again, run, entry)
    try:
        known = target.known if _is_still_ours(target, file.target) else None
        replaced = file.publish(replace=target.replace, known=known, on_copy=log_copy)
        state = file.state
    except FileExistsError:
        before = _published_before(file, entry, run)
        if before is None:
            if _is_left_over(target, file, entry, run):
                return _NameGiven()
            if not run.skip_existing:
                raise
            return _NameGiven(foreign=True)
        state, replaced = before, target.replace or target.known is not None
    return _NameGiven() if replaced else _NameGiven(new=state)


def _is_still_ours(target: Target, path: str) -> bool:
    """Whether the file there is what was made, where its state alone does not prove it."""
    return target.known_hash is None or checksum.matches(path, target.known_hash)


def _entries(
    job: Job, targets: Sequence[Target], staged: Sequence[local_files.Staged], made: Finished
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


def _published_before(file: local_files.Staged, entry: Entry, run: Run) -> FileState | None:
    """The state of the file at a target, if this job's first attempt put it there.

    Its worker may have died, or been taken for dead. Somebody else's equal bytes prove nothing.
    """
    there = local_files.state(file.target)
    with suppress(OSError):
        logs = worker_log.logs(run.output).get(run.word, [])
        for one in worker_log.entries_of(entry.target, logs):
            if one.path == entry.path and one.made.equals(there) and not one.kept:
                return there
    return None


def _is_left_over(target: Target, file: local_files.Staged, entry: Entry, run: Run) -> bool:
    """Whether the file at a target is this very output, left by a run that did not end.

    What a power cut left of it is replaced.
    """
    there = local_files.state(file.target)
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


def replace_original(job: Job, made: Finished, run: Run) -> tuple[Written, ...]:
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
            # It stays unchanged, and no later run needs to look at it again.
            whole = crc32(one.data)
            entry = Entry(target.relative, target.known, hash=whole, source_hash=whole)
            worker_log.write(run.output, run.word, [entry], durable=True)
            return _written([target], made.files, [path])
        staged = local_files.stage(
            path, one.data, run.word, like=path, durable=True, mtime_ns=mtime_ns
        )
        if not _is_what_was_read(target, made):
            raise _changed(path)
        if run.backup is not None:
            path = os.path.join(run.backup, *job.source.mirrored.split("/"))
            _back_up(job, path, run)
            path = target.path
        entry = Entry(
            target.relative, staged.state, hash=crc32(one.data), source_hash=made.source_hash
        )
        worker_log.write(run.output, run.word, [entry], durable=True)
        if not _is_what_was_read(target, made):
            raise _changed(path)
        staged.publish(replace=True)
    except OSError as error:
        raise PictureError("write", *_explained(error, path, job.targets)) from error
    finally:
        if staged is not None:
            staged.discard()
    return _written([target], made.files, [path])


def is_as_scanned(target: Target) -> bool:
    """Whether the file at a target that is to be replaced is still the one that was scanned.

    A first attempt may have linked it into the backup, which changes its ctime.
    """
    known = target.known
    return known is not None and known._replace(ctime_ns=0).equals(local_files.state(target.path))


def _is_what_was_read(target: Target, made: Finished) -> bool:
    """Whether a source still has the content that its result was made from.

    Its ctime changes when it gets another name in the backup, or loses one to a result.
    """
    if target.known is not None and target.known.equals(local_files.state(target.path)):
        return True
    whole = made.source_hash
    return is_as_scanned(target) and whole is not None and checksum.matches(target.path, whole)


def _log_again(run: Run, entry: Entry, state: FileState) -> None:
    """Log the same entry for a file in another state."""
    worker_log.write(run.output, run.word, [entry._replace(made=state)])


def _changed(path: str) -> PictureError:
    return PictureError(
        "write", "changed", f"{path} was changed in the meantime and was left as is"
    )


def _back_up(job: Job, path: str, run: Run) -> None:
    try:
        local_files.keep_copy(job.source.path, path, run.word)
    except FileExistsError:
        # The file there may be the original of the picture that is being remade.
        if not job.targets[0].again:
            raise PictureError(
                "write",
                "exists",
                f"{path} exists already, with different content: use another --backup folder",
            ) from None


def _written(
    targets: Sequence[Target], files: Sequence[Encoded], paths: Sequence[str]
) -> tuple[Written, ...]:
    return tuple(
        Written(target.output, path, *one.size, len(one.data), one.format.name, one.copied)
        for target, one, path in zip(targets, files, paths, strict=True)
    )


def settled(target: Target, encoded: Encoded) -> Target:
    """The target with the suffix of the format that the source turned out to have.

    The plan did not check such a path, so it must not replace anything just like that.
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
        words = f"{path} exists already and was left as is"
        if any(target.known or target.unless is not None for target in planned):
            words = f"{path} was changed since imgbatch made it, and was left as is"
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
        return "disk-broken", f"the disk failed to write {path}: {error.strerror}"
    return "unwritable", f"cannot write {path}: {error.strerror}"
