"""Finished files get their names: all of a source or none, and never over somebody else's."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from imgbatch.errors import PictureError
from imgbatch.imaging.encode import Encoded
from imgbatch.model import About, FileState, Job, Notice, Replaced, Run, Target, Written
from imgbatch.planning.output_paths import settled
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


def publish(
    job: Job, made: Finished, told: Sequence[tuple[Notice, ...]], run: Run
) -> tuple[Written, ...]:
    """Write all outputs of a job under temporary names, then give them their own.

    `told` are the warnings of each, for the journal. Outputs that somebody else's file keeps out
    are missing from the result, if the run skips them.
    Raises PictureError; then nothing new is left behind.
    """
    targets = [
        settled(target, one.format) for target, one in zip(job.targets, made.files, strict=True)
    ]
    mtime_ns = job.source.mtime_ns if run.preserve_dates else None
    staged: list[local_files.Staged] = []
    ours: list[tuple[str, FileState]] = []
    others: set[str] = set()
    replaced: list[Replaced | None] = []
    path = ""
    try:
        for target, one in zip(targets, made.files, strict=True):
            path = target.path
            staged.append(local_files.stage(path, one.data, run.word, mtime_ns=mtime_ns))
        path = run.output
        entries = _entries(job, targets, staged, made, told)
        worker_log.write(run.output, run.word, entries)
        for target, file, entry in zip(targets, staged, entries, strict=True):
            path = file.target
            named = _give_name(target, file, entry, run)
            if named.new is not None:
                ours.append((path, named.new))
            if named.foreign:
                others.add(path)
            replaced.append(None if named.new else target.replaces)
    except OSError as error:
        # All or none: replaced files cannot be restored, new ones can be removed.
        for new, state in ours:
            local_files.take_back(new, state)
        raise PictureError("write", *explained(error, path, job.targets)) from error
    finally:
        # Those that were published are gone from their temporary names.
        for file in staged:
            file.discard()
    written = [
        _written(target, one, file.target, reason)
        for target, one, file, reason in zip(targets, made.files, staged, replaced, strict=True)
    ]
    return tuple(one for one in written if one.path not in others) if others else tuple(written)


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
    job: Job,
    targets: Sequence[Target],
    staged: Sequence[local_files.Staged],
    made: Finished,
    told: Sequence[tuple[Notice, ...]],
) -> list[Entry]:
    return [
        Entry(
            planned.relative,
            file.state,
            None if target is planned else target.relative,
            crc32(one.data),
            made.source_hash,
            about=_about(one, notices),
        )
        for planned, target, file, one, notices in zip(
            job.targets, targets, staged, made.files, told, strict=True
        )
    ]


def _about(one: Encoded, notices: Sequence[Notice]) -> About:
    """What a later run may want to know of a file."""
    warnings = tuple([(f"{notice.kind}", notice.message) for notice in notices])
    return About(*one.size, one.format.name, one.copied, warnings)


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


def replace_original(
    job: Job, made: Finished, told: Sequence[tuple[Notice, ...]], run: Run
) -> tuple[Written, ...]:
    """Put the one output in its source's place; at every moment one of the two is whole there."""
    (target,), (one,), (notices,) = job.targets, made.files, told
    lossy = [notice.message for notice in one.notices if notice.kind in _LOSSES]
    if lossy and run.backup is None:
        raise PictureError(
            "write", "would-lose", f"{lossy[0]}: in place that needs a --backup folder"
        )
    path = target.path
    mtime_ns = job.source.mtime_ns if run.preserve_dates else None
    about = _about(one, notices)
    staged = None
    try:
        if one.copied and target.known is not None:
            # It stays unchanged, and no later run needs to look at it again.
            whole = crc32(one.data)
            entry = Entry(target.relative, target.known, None, whole, whole, about=about)
            worker_log.write(run.output, run.word, [entry], durable=True)
            return (_written(target, one, path),)
        staged = local_files.stage(
            path, one.data, run.word, like=path, durable=True, mtime_ns=mtime_ns
        )
        if not _is_what_was_read(target, made):
            raise _changed(path)
        if run.backup is not None:
            path = os.path.join(run.backup, *job.source.mirrored.split("/"))
            _back_up(job, path, run)
            path = target.path
        whole = crc32(one.data)
        entry = Entry(target.relative, staged.state, None, whole, made.source_hash, about=about)
        worker_log.write(run.output, run.word, [entry], durable=True)
        if not _is_what_was_read(target, made):
            raise _changed(path)
        staged.publish(replace=True)
    except OSError as error:
        raise PictureError("write", *explained(error, path, job.targets)) from error
    finally:
        if staged is not None:
            staged.discard()
    return (_written(target, one, path),)


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


def described(job: Job, made: Finished) -> tuple[Written, ...]:
    """What was made, for whoever publishes it elsewhere."""
    return tuple(
        _written(target, one, target.path)
        for target, one in zip(job.targets, made.files, strict=True)
    )


def _written(target: Target, one: Encoded, path: str, replaced: Replaced | None = None) -> Written:
    size = len(one.data)
    return Written(target.output, path, *one.size, size, one.format.name, one.copied, replaced)


def explained(error: OSError, path: str, planned: Sequence[Target] = ()) -> tuple[str, str]:
    """The kind of a failure to write to a path, and what it means."""
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
