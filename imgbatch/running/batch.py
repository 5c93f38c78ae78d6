"""The conductor: scan, plan, cut into chunks, execute, and hand the results on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from msgspec.structs import replace

from imgbatch.errors import NothingFoundError, UsageError, WorkersError
from imgbatch.executors import Control, Executor, Task, resources, serial
from imgbatch.model import UP_TO_DATE, Job, LeftOut, LeftOver, LeftOverReason, Result, Run, Source
from imgbatch.planning import numbering
from imgbatch.planning.chunks import chunks
from imgbatch.planning.compact import Jobs, Skips
from imgbatch.planning.earlier import EarlierOutputs
from imgbatch.planning.in_place import InPlace
from imgbatch.planning.numbering import Facts
from imgbatch.planning.ownership import absolute_paths
from imgbatch.planning.plan import Lookup, Plan, Policy, plan
from imgbatch.planning.scan import BACKUP_MARK, Selection, scan, shared_folder
from imgbatch.planning.to_folder import ToFolder
from imgbatch.planning.to_stream import ToStream
from imgbatch.plurals import counted
from imgbatch.recipes.recipe import Recipe
from imgbatch.running import stream, worker_tasks
from imgbatch.running.destination import Destination, check_is_no_journal, destination
from imgbatch.running.settings import Settings
from imgbatch.running.stream import Sink
from imgbatch.store import local_files
from imgbatch.store.journal import DamagedError, Journal
from imgbatch.store.recorded import (
    IN_PLACE_MARK,
    SHARED_MARK,
    InnerJournals,
    Recorded,
    UnreadableError,
)
from imgbatch.store.worker_log import Claim

if TYPE_CHECKING:
    from imgbatch.running.prune import Pruned

_FAILED_WRITES: Final = 5
_HEADERS_OF_A_WORKER: Final = 300
_PORTION: Final = 32


def prepare(recipe: Recipe, settings: Settings) -> Batch:
    """Scan and plan, without making anything yet.

    Raises UsageError (also if another run holds the output folder) or NothingFoundError.
    """
    settings.check()
    if settings.in_place:
        _check_in_place(recipe, settings)
        place = _home(recipe, settings)
    else:
        place = destination(recipe, settings)
    # To a stream, nothing is remembered.
    journal = Journal(place.folder) if place.streams else Journal.open(place.folder)
    # What runs over parts of the tree made, which have journals of their own.
    inner = InnerJournals(place.folder) if place.subfolder else None
    try:
        try:
            planned = _planned(settings, place, journal, inner)
        except DamagedError as error:
            journal.set_aside(str(error))
            planned = _planned(settings, place, journal, inner)
        if not planned.files and not planned.conflicts:
            places = ", ".join(settings.paths) or "the list"
            raise NothingFoundError(f"no image found in {places} ({_why_none(planned.left_out)})")
    except BaseException:
        journal.close()
        if inner is not None:
            inner.close()
        raise
    return Batch(place, settings, planned, journal, inner)


def _why_none(left_out: LeftOut) -> str:
    """Where the pictures may be that were not found."""
    reasons = []
    if left_out.outputs:
        reasons.append(
            f"{counted(left_out.outputs, 'output')} of earlier runs left out: --include-outputs "
            "takes them"
        )
    if left_out.unselected:
        reasons.append(f"{left_out.unselected} left out by --include or --exclude")
    if left_out.links:
        reasons.append(f"{counted(left_out.links, 'link')} left out by --no-links")
    return "; ".join(reasons) or "see `imgbatch formats`"


class Batch:
    """A planned run: what will be done, and then the doing.

    Used as a context manager, so that the output folder is released again.
    """

    def __init__(
        self,
        place: Destination,
        settings: Settings,
        planned: Plan,
        journal: Journal,
        inner: InnerJournals | None,
    ) -> None:
        self.plan = planned
        self.place = place.place
        self.stopped: str | None = None
        self._recipe = place.recipe
        self._streams = place.streams
        self._shares = place.shares and journal.connection is None
        self._settings = settings
        self._journal = journal
        self._inner = inner
        self._word = local_files.new_run()
        self._unfinished: list[Source] = []
        self.pruned: list[LeftOver] = []

    @property
    def workers(self) -> int:
        """How many processes are worthwhile: never more than there are files."""
        wanted = self._settings.jobs or resources.processors()
        return max(1, min(wanted, len(self.plan.jobs)))

    @property
    def salvages(self) -> bool:
        """Whether what can be decoded of a damaged picture is kept."""
        return self._settings.salvage

    @property
    def is_strict(self) -> bool:
        """Whether warnings are failures."""
        return self._settings.strict

    @property
    def notices(self) -> list[str]:
        """Warnings that do not belong to a file."""
        return self.plan.notices + self._journal.notices

    def begin(self) -> None:
        """Make sure that outputs can be written, and claim them in the journal.

        Raises UsageError.
        """
        if self._streams:
            return
        elsewhere = self._elsewhere()
        if not self.plan.jobs:
            self._journal.tidy(elsewhere)
            return
        # A later run must not take the originals kept here for pictures to work on.
        for folder in elsewhere:
            _leave(folder, BACKUP_MARK, "backup folder")
        if self._settings.in_place:
            _leave(self.plan.output, IN_PLACE_MARK, "folder")
        if self._shares:
            _leave(self.plan.output, SHARED_MARK, "output folder")
        claims = _Claims(self.plan.jobs, self._recipe)
        self._journal.begin(self._word, claims, elsewhere, in_place=self._settings.in_place)

    def results(
        self,
        control: Control | None = None,
        *,
        supervised: bool = False,
        sink: Sink | None = None,
    ) -> Generator[Result]:
        """Carry the plan out; yield the results of its jobs as they come.

        A single job is done in this process; with `supervised` only then, because there is nothing
        else that could go on if a codec takes its process down. What goes to standard output is
        given to the `sink`.
        """
        control = control or Control()
        if not self.plan.jobs:
            self._prune()
            return
        if self._streams:
            assert sink is not None
            yield from stream.results(self.plan.jobs, self._recipe, self._run(), control, sink)
            return
        alone = len(self.plan.jobs) == 1 or (self.workers == 1 and not supervised)
        undisturbed = False
        try:
            try:
                yield from self._carried_out(serial.run if alone else _pool(), control)
            except KeyboardInterrupt:
                yield from self._finished(control)
                raise
            yield from self._finished(control)
            undisturbed = not (control.stopping or control.workers_died)
            if not control.stopping:
                self._prune()
        finally:
            # No worker is alive by now.
            swept = undisturbed or local_files.sweep(
                [self.plan.output, *self._elsewhere()], [self._word]
            )
            self._journal.finish(swept=swept)

    def _finished(self, control: Control) -> Iterator[Result]:
        """Results of jobs whose own results never arrived although their files are there."""
        if control.unanswered:
            jobs = (self.plan.jobs[index] for index in control.unanswered)
            yield from worker_tasks.finished(jobs, self._run())

    @property
    def left_over(self) -> dict[LeftOverReason, int]:
        """How many outputs of earlier runs stay although they are not made any more."""
        return {} if self._settings.prune else Counter(one.reason for one in self.plan.left_over)

    def removable(self) -> Pruned:
        """What a run will remove of what is left over."""
        from imgbatch.running.prune import Pruned, removable

        return removable(self.plan) if self._settings.prune else Pruned()

    def _prune(self) -> None:
        """Remove what is left over of earlier runs, if that is wanted."""
        if not self._settings.prune or not self.plan.left_over:
            return
        from imgbatch.running.prune import prune

        found = prune(self.plan, self._unfinished)
        self._journal.forget(one.target for one in found.removed)
        self.plan.notices.extend(found.notices)
        self.pruned = found.removed

    def close(self) -> None:
        """Release the output folder."""
        self._journal.close()
        if self._inner is not None:
            self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _carried_out(self, executor: Executor, control: Control) -> Iterator[Result]:
        task = worker_tasks.making(self._recipe, self._run())
        jobs = self.plan.jobs
        results = executor(task, jobs, chunks(jobs.sizes, self.workers), self.workers, control)
        failed_writes = 0
        for result in results:
            if self._settings.prune and result.status != "done" and result.reason != UP_TO_DATE:
                self._unfinished.append(result.source)
            yield result
            if result.status == "done":
                failed_writes = 0
            elif result.failure and result.failure.kind in worker_tasks.DISK_TROUBLES:
                failed_writes += 1
                if failed_writes >= _FAILED_WRITES and not self.stopped:
                    self.stopped = (
                        f"{failed_writes} files in a row could not be written, the last because "
                        f"{result.failure.message}"
                    )
                    control.stop()
            self._journal.collect()

    def _run(self) -> Run:
        settings = self._settings
        return Run(
            word=self._word,
            output=self.plan.output,
            limits=settings.limits_here,
            in_place=settings.in_place,
            backup=settings.backup,
            salvage=settings.salvage,
            strict=settings.strict,
            preserve_dates=settings.preserve_dates,
            skip_existing=settings.on_conflict == "skip",
        )

    def _elsewhere(self) -> list[str]:
        return [self._settings.backup] if self._settings.backup is not None else []


def _pool() -> Executor:
    # A run with nothing to do needs none of this.
    from imgbatch.executors import pool

    return pool.run


def _leave(folder: str, name: str, what: str) -> None:
    """Leave a mark in a folder, for later runs. Raises UsageError."""
    mark = os.path.join(folder, name)
    try:
        local_files.make_folders(os.path.dirname(mark), durable=True)
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT, 0o666))
        local_files.sync_folder(os.path.dirname(mark))
    except OSError as error:
        shown = folder or os.curdir
        raise UsageError(f"cannot write into the {what} {shown}: {error.strerror}") from None


class _Claims(Iterable[Claim]):
    """What a plan is going to make, generated again for each iteration."""

    def __init__(self, jobs: Jobs, recipe: Recipe) -> None:
        self._jobs = jobs
        self._digests = {one.name: recipe.digest_of(one) for one in recipe.outputs}

    def __iter__(self) -> Iterator[Claim]:
        absolute = absolute_paths()
        for source, places in self._jobs.places():
            for output, relative in places:
                yield relative, absolute(source), source.state, self._digests[output]


def _check_in_place(recipe: Recipe, settings: Settings) -> None:
    """Raise UsageError for what cannot be done to a file in place."""
    if len(recipe.outputs) > 1:
        raise UsageError("--in-place makes one output of each picture: give one --size")
    (output,) = recipe.outputs
    if settings.streamed is not None:
        raise UsageError("--in-place replaces files, and standard input is none: use --output")
    if output.encoding.format is not None:
        raise UsageError("--in-place keeps the format: omit --format, or use --output")
    if output.template.text != "{stem}{ext}" or settings.flat or settings.output is not None:
        raise UsageError("--in-place keeps names and folders: no --output, --name or --flat")
    if settings.prune:
        raise UsageError("--in-place leaves no outputs to --prune: omit one of the two")
    if settings.subfolder is not None:
        raise UsageError("--in-place replaces the originals: omit it, or --subfolder")
    if settings.on_conflict != "error":
        raise UsageError("--in-place has no --on-conflict: it replaces the originals")


def _planned(
    settings: Settings, place: Destination, journal: Journal, inner: InnerJournals | None
) -> Plan:
    recipe, folder, left_out = place.recipe, place.folder, LeftOut()
    selection = _selection(settings)
    sources = scan(
        settings.paths,
        selection,
        output=settings.backup if settings.in_place else folder,
        listed=settings.listed or (),
        in_place=settings.in_place,
        own=_own(folder, journal),
        left_out=left_out,
    )
    if settings.streamed is not None:
        sources = iter([settings.streamed])
    lookup = _lookup(journal, inner)
    if settings.in_place:
        sources = _below(folder, sources)
    elif place.subfolder:
        sources = _seen_from(folder, sources)
    policy = _policy(settings, place, lookup)
    policy.planned.left_out = left_out
    known = EarlierOutputs(folder, [one.name for one in recipe.outputs], lookup)
    policy.planned.skipped = Skips(known, strict=settings.strict)
    reader = partial(_headers, settings=settings)
    planned = plan(sources, policy, sort=settings.sort, reader=reader)
    if place.keeps_outputs and not settings.in_place:
        planned.left_over = _left_over(settings, place, planned, journal, selection)
    return planned


def _policy(settings: Settings, place: Destination, lookup: Lookup) -> Policy:
    """What decides about each source."""
    if settings.in_place:
        return InPlace(
            place.recipe,
            place.folder,
            lookup=lookup,
            force=settings.force,
            backup=settings.backup,
        )
    if place.streams:
        return ToStream(place.recipe)
    return ToFolder(
        place.recipe,
        place.folder,
        flat=settings.flat,
        subfolder=place.subfolder,
        on_conflict=settings.on_conflict,
        lookup=lookup,
        force=settings.force,
    )


def _selection(settings: Settings) -> Selection:
    return Selection(
        settings.recursive,
        settings.include,
        settings.exclude,
        settings.include_outputs,
        settings.links,
    )


def _left_over(
    settings: Settings, place: Destination, planned: Plan, journal: Journal, selection: Selection
) -> list[LeftOver]:
    """The outputs of earlier runs that are not made any more. Raises DamagedError."""
    # A run over everything that the journal knows leaves nothing over, but those over parts of a
    # folder have journals of their own.
    if not (settings.prune or place.subfolder or journal.count() > planned.known):
        return []
    from imgbatch.planning.left_over import left_over

    folders = [*settings.paths, *(settings.listed or ())]
    return list(left_over(planned, journal.all(), folders, selection, place.subfolder))


def _lookup(journal: Journal, inner: InnerJournals | None) -> Lookup:
    """What is known about a target."""
    if inner is None:
        return journal.lookup
    return lambda target: journal.lookup(target) or inner.lookup(target)


def _own(folder: str, journal: Journal) -> tuple[str, Recorded] | None:
    """What the run's own journal records, with its folder. Raises DamagedError."""
    if journal.connection is None:
        return None
    try:
        return folder, Recorded(folder, journal.connection)
    except UnreadableError as error:
        raise DamagedError(str(error)) from error


def _headers(jobs: Jobs, settings: Settings) -> Iterator[Facts]:
    """Facts from the headers of many files, read by as many processes as are worthwhile.

    For a few files, headers whose readers always return are read in this process, with a time
    limit all the same. The others need a process that can be killed, if one may be started.
    """
    limits = settings.limits_here
    most = settings.jobs or resources.processors()
    task: Task[Job, Facts] = Task(
        function=partial(numbering.read, limits=limits),
        lost=numbering.unread,
        failed=numbering.is_unread,
        set_up=worker_tasks.set_up,
        timeout=limits.timeout,
    )
    workers = min(most, len(jobs) // _HEADERS_OF_A_WORKER)
    if workers >= 2:
        yield from _in_processes(task, jobs, workers)
        return
    if most == 1 or len(jobs) == 1:
        yield from serial.run(task, jobs, [range(len(jobs))], 1, Control())
        return
    left = Jobs()

    def lost(job: Job, kind: str, cause: str) -> Facts:
        if kind == serial.REFUSED:
            left.append(job)
        return numbering.unread(job)

    here = replace(task, function=partial(numbering.read, limits=limits, here=True), lost=lost)
    yield from serial.run(here, jobs, [range(len(jobs))], 1, Control())
    if left:
        yield from _in_processes(task, left, min(most, len(left)))


def _in_processes(task: Task[Job, Facts], jobs: Jobs, workers: int) -> Iterator[Facts]:
    count = len(jobs)
    step = min(_PORTION, -(-count // workers))
    portions = (range(at, min(at + step, count)) for at in range(0, count, step))
    # If no process can be started the run itself will say so: headers are not worth an error.
    with suppress(WorkersError):
        yield from _pool()(task, jobs, portions, workers, Control())


def _home(recipe: Recipe, settings: Settings) -> Destination:
    """The folder of sources that are replaced in place, where their journal is."""
    named = (*settings.paths, *(settings.listed or ()))
    folders = [path for path in named if os.path.isdir(path)]
    if folders and len(named) > 1:
        raise UsageError("--in-place takes one folder, or files: run it once for each")
    folder = folders[0] if folders else shared_folder(named)
    if folder is None and len(named) == 1:
        folder = os.path.dirname(named[0])
    if folder is None:
        raise UsageError("--in-place takes files of one folder: run it once for each")
    backup = settings.backup
    if backup is not None:
        check_is_no_journal("--backup", backup)
    if backup is not None and os.path.exists(backup) and os.path.samefile(backup, folder or "."):
        raise UsageError("--backup is the folder of the originals: use another")
    folder = folder or os.curdir
    return Destination(recipe, folder, f" in {folder}")


def _below(folder: str, sources: Iterator[Source]) -> Iterator[Source]:
    """The same sources, seen from `folder`, relative to which the targets are."""
    for source in sources:
        yield replace(source, root=folder, below="")


def _seen_from(folder: str, sources: Iterator[Source]) -> Iterator[Source]:
    """The same sources, where several folders below `folder` were given."""
    above: dict[str, str] = {}
    for source in sources:
        if source.root not in above:
            place = os.path.relpath(source.root or os.curdir, folder or os.curdir)
            above[source.root] = "" if place == os.curdir else place.replace(os.sep, "/") + "/"
        yield replace(source, root=folder, relative=above[source.root] + source.relative, below="")
