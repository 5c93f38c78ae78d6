"""Runs as programs start them: `run` carries a recipe out, `plan` only says what it would do."""

from __future__ import annotations

import os
import time
import warnings
import weakref
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from itertools import chain
from types import TracebackType
from typing import Final, Literal, Self, Unpack, overload

from msgspec import Struct

from imgbatch.errors import UsageError
from imgbatch.executors import Control
from imgbatch.executors.crew import leave_if_importing_main
from imgbatch.model import STREAM, UP_TO_DATE, Job, LeftOut, Result, Source, Summary
from imgbatch.planning.output_paths import Conflict
from imgbatch.recipes.recipe import Recipe
from imgbatch.running import batch
from imgbatch.running.logs import LOG, log_notices
from imgbatch.running.settings import RunWords, Settings, settings_of
from imgbatch.store import checksum

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Action = Literal["make", "remake", "overwrite", "replace"]

CANCELLED: Final = "it was cancelled"
CLOSED: Final = "it was closed early"


def run(recipe: Recipe, paths: Paths, **words: Unpack[RunWords]) -> Run:
    """Make `recipe` of everything below `paths`; yield one Result per source as they come.

    `paths` are a folder or a file, or several. `words` are the command line's options
    (docs/cli.md); `timeout` is in seconds (None: no limit), `memory` in bytes. Everything is
    planned before this returns: raises UsageError, PlanError or NothingFoundError, and then nothing
    was written. A file that fails is a Result with a `failure`, not an exception. The output folder
    is locked until the last result, or until the run is closed.

    With `jobs=1` no process is started, and a crash of a codec is the program's own. The same
    happens, with a RuntimeWarning, whatever `jobs` says, in a process that must not have children
    (daemonic, like the workers of `multiprocessing.Pool`) or cannot start any. Workers do not
    import the main module, unless the recipe has an operation that was defined there: then the
    call needs multiprocessing's usual `if __name__ == "__main__":`.
    """
    leave_if_importing_main()
    _check_recipe(recipe)
    prepared = batch.prepare(recipe, _settings(paths, words, "run"))
    try:
        prepared.plan.check()
        prepared.begin()
    except BaseException:
        prepared.close()
        raise
    return Run(prepared)


def _check_recipe(recipe: object) -> None:
    """Raise TypeError for anything else, such as the name of a preset."""
    if not isinstance(recipe, Recipe):
        way = "from_options(sizes=1600)"
        if isinstance(recipe, str | os.PathLike):
            way = f"load({os.fspath(recipe)!r})"
        raise TypeError(f"found the recipe {recipe!r}, expected a Recipe: imgbatch.Recipe.{way}")


def _settings(paths: Paths, words: RunWords, call: str) -> Settings:
    """The settings of a call. Raises UsageError, and TypeError for an argument it does not have."""
    settings = settings_of(paths, words, call)
    if settings.output == STREAM:
        raise UsageError("output='-' is the command's standard output: give a file or a folder")
    return settings


class Run(Iterator[Result]):
    """A run that is planned, and carried out by whoever iterates over it.

    As a context manager it is closed at the end of the block. `len()` is the number of results
    that it will have, and `summary` counts those that there were.
    """

    def __init__(self, prepared: batch.Batch) -> None:
        self._batch = prepared
        self._control = Control(on_notice=_tell)
        self._summary = Summary(
            jobs=prepared.workers,
            planned=prepared.plan.files,
            left_out=prepared.plan.left_out,
            left_over=prepared.left_over,
        )
        self._results = _all(prepared, self._control, self._summary)
        # Also when the program ends: later there would be no modules left to do it with.
        self._end = weakref.finalize(self, _abandon, self._results, prepared)

    def __len__(self) -> int:
        return self._summary.planned

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Result:
        return next(self._results)

    @property
    def output(self) -> str:
        """The output folder; in place, that of the originals."""
        return self._batch.plan.output

    @property
    def pruned(self) -> tuple[str, ...]:
        """The paths of what `prune` has removed, which is done after the last result."""
        return tuple(one.path for one in self._batch.pruned)

    @property
    def summary(self) -> Summary:
        """Counts the results that have been handed out so far."""
        return self._summary

    def cancel(self) -> None:
        """Start no more files; those in hand are finished, and their results still come.

        From any thread, at any time. What is not done stays for the next run.
        """
        self._control.stop()

    def close(self) -> None:
        """End the workers, remove temporary files and release the output folder.

        Only the thread that iterates may do this.
        """
        self._results.close()
        self._batch.close()
        self._end.detach()
        if self._summary.unfinished:
            self._summary.stopped = self._summary.stopped or CLOSED

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _all(prepared: batch.Batch, control: Control, summary: Summary) -> Generator[Result]:
    """The results of a run. It does not know the Run, which may be dropped: that closes it."""
    begun = time.monotonic()
    told = _log_since(0, prepared.notices)
    # Workers end before the folder is released.
    with prepared, closing(prepared.results(control)) as made:
        for result in chain(prepared.plan.skipped, made):
            summary.add(result)
            summary.seconds = time.monotonic() - begun
            log_notices(result.source.path, result.notices)
            if result.failure is not None:
                LOG.error("%s: %s", result.source.path, result.failure.message)
            yield result
        summary.pruned = len(prepared.pruned)
        summary.stopped = prepared.stopped
        if control.stopping and summary.unfinished:
            summary.stopped = summary.stopped or CANCELLED
        _log_since(told, prepared.notices)


def _abandon(results: Generator[Result], prepared: batch.Batch) -> None:
    """Close a run that nobody has closed."""
    # At the end of the program a thread may still be iterating.
    with suppress(ValueError):
        results.close()
        prepared.close()


def _log_since(told: int, notices: Sequence[str]) -> int:
    """Log what was noticed about a run beyond the first few; returns how many there are."""
    for text in notices[told:]:
        LOG.warning("%s", text)
    return len(notices)


def _tell(text: str) -> None:
    # Even of a program that does not listen: its run is slower than it asked for.
    warnings.warn(text, RuntimeWarning, stacklevel=2)
    LOG.warning("%s", text)


class PlannedFile(Struct, frozen=True):
    """One file that a run would write: of which `output`, where, and by which `action`.

    The action is "make" where there is none, "remake" for an earlier result, "overwrite" for
    anybody's file, and "replace" for the source itself, in place.
    """

    output: str
    path: str
    action: Action


class Planned(Struct, frozen=True):
    """What a run would do with one source: make `files` of it, or skip it for a `reason`."""

    source: Source
    files: tuple[PlannedFile, ...] = ()
    reason: str | None = None

    @property
    def status(self) -> Literal["make", "skip"]:
        """Whether anything would be made."""
        return "skip" if self.reason is not None else "make"


class Plan(Sequence[Planned]):
    """What a run would do, one item for each source. Nothing was written.

    `output` is the folder, `conflicts` what would be refused, with a `message` and a `remedy` each:
    `run` raises PlanError if there are any. `pruned` are the paths of what `prune` would remove,
    `left_out` counts what is no picture to work on, and `notices` are other things to know.
    """

    def __init__(self, items: Sequence[Planned], prepared: batch.Batch) -> None:
        planned, removable = prepared.plan, prepared.removable()
        self._items = items
        self.output: str = planned.output
        self.conflicts: tuple[Conflict, ...] = tuple(planned.conflicts)
        self.pruned: tuple[str, ...] = tuple(one.path for one in removable.removed)
        self.left_out: LeftOut = planned.left_out
        self.notices: tuple[str, ...] = (*prepared.notices, *removable.notices)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Planned: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Planned]: ...

    def __getitem__(self, index: int | slice) -> Planned | Sequence[Planned]:
        return self._items[index]


def plan(recipe: Recipe, paths: Paths, **words: Unpack[RunWords]) -> Plan:
    """What `run` would do with the same arguments. Nothing is written.

    Raises UsageError for a request that cannot be carried out, NothingFoundError if there is no
    image. What else would be refused is among the plan's `conflicts`.
    """
    leave_if_importing_main()
    _check_recipe(recipe)
    with batch.prepare(recipe, _settings(paths, words, "plan")) as prepared:
        items = [_planned(job) for job in prepared.plan.jobs]
        items += [Planned(one.source, reason=one.reason) for one in prepared.plan.skipped]
        return Plan(items, prepared)


def _planned(job: Job) -> Planned:
    if not job.targets:
        return Planned(job.source, reason="it cannot be listed")
    needed = checksum.still_needed(job)
    if not needed.targets:
        return Planned(job.source, reason=UP_TO_DATE)
    files = []
    for target in needed.targets:
        action: Action = "make"
        if target.path == job.source.path:
            action = "replace"
        elif target.replace:
            action = "overwrite"
        elif target.known:
            action = "remake"
        files.append(PlannedFile(target.output, target.path, action))
    return Planned(job.source, tuple(files))
