"""What an unfinished attempt has published, according to the logs of the run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec.structs import replace

from imgbatch.errors import PictureError
from imgbatch.model import Earlier, Failure, FileState, Job, Result, Run, Target
from imgbatch.running.publish import is_as_scanned
from imgbatch.store import about, local_files, worker_log
from imgbatch.store.worker_log import Entry

_Published = tuple[Target, Earlier, FileState]


def lost(job: Job, kind: str, message: str, run: Run) -> Result:
    """The outcome of a job whose worker process died, or was killed because it took too long.

    If it had published everything by then, the job is done; if only a part, that is taken back,
    unless it replaced something.
    """
    there = any(one.any_suffix or os.path.lexists(one.path) for one in job.targets)
    result = _cut_off(job, _logged(run) if there else {}, run)
    return result or Result.failed(job.source, Failure("worker", kind, message))


def finished(jobs: Iterable[Job], run: Run) -> Iterator[Result]:
    """The results of those jobs that had published everything when the run was interrupted.

    What other jobs had published is taken back, unless it replaced something.
    """
    logged = _logged(run)
    for job in jobs:
        result = _cut_off(job, logged, run)
        if result is not None:
            yield result


def replaced_before(job: Job, run: Run) -> Result | None:
    """The result of the job if its first attempt died after replacing the source.

    Raises PictureError if somebody else changed the source since the scan.
    """
    if all(is_as_scanned(one) or local_files.state(one.path) is None for one in job.targets):
        return None
    made = list(_published(job, _logged(run), run))
    if not made:
        raise PictureError("open", "changed", "it was changed since the scan, and was left as is")
    return _done(job, made)


def _cut_off(job: Job, logged: Mapping[str, Sequence[Entry]], run: Run) -> Result | None:
    made = list(_published(job, logged, run))
    if job.targets and len(made) == len(job.targets):
        return _done(job, made)
    for target, one, state in made:
        if not target.replace and target.known is None:
            local_files.take_back(one.written.path, state)
    return None


def _done(job: Job, made: Sequence[_Published]) -> Result:
    outputs = [one for _, one, _ in made]
    notices = dict.fromkeys(notice for one in (*outputs, *job.kept) for notice in one.notices)
    written = tuple(one.written for one in outputs)
    source = job.dated and job.dated.source
    return Result(job.source, "done", written, tuple(notices), date_source=source)


def _logged(run: Run) -> dict[str, list[Entry]]:
    """What this run's processes were about to publish, by target."""
    found: dict[str, list[Entry]] = {}
    # What cannot be read proves nothing.
    with suppress(OSError):
        for log in worker_log.logs(run.output).get(run.word, []):
            for entry in worker_log.read_all(log):
                if not entry.kept:
                    found.setdefault(entry.target, []).append(entry)
    return found


def _published(job: Job, logged: Mapping[str, Sequence[Entry]], run: Run) -> Iterator[_Published]:
    """The targets of a job that an earlier attempt published, according to the logs of the run."""
    for target in job.targets:
        for entry in logged.get(target.relative, ()):
            if entry.about is None or entry.found(run.output) is None:
                continue
            path = replace(target, relative=entry.path or target.relative).path
            size = entry.made.size
            one = about.told(entry.about, target.output, path, size, target.replaces)
            yield target, one, entry.made
            break
