"""One run of the command line: plan, carry out, report, and end with the right exit code."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FrameType
from typing import Any, Final

from msgspec import Struct

from imgbatch import signals
from imgbatch.cli import progress, reporting, safe_streams
from imgbatch.cli.invocation import Invocation
from imgbatch.cli.output import complain, note, tell, tell_lines
from imgbatch.cli.results import lines_of, tell_summary, tell_totals, why_left_over
from imgbatch.cli.waiting import patient
from imgbatch.errors import UsageError, WorkersError
from imgbatch.executors import Control
from imgbatch.model import STREAM, LeftOver, Result, Source, Summary, up_to_date
from imgbatch.recipes.recipe import Recipe
from imgbatch.running import batch, worker_tasks
from imgbatch.running.destination import takes_one_file
from imgbatch.running.report import Report, pruned_row, row, summary_row
from imgbatch.running.settings import Settings
from imgbatch.store import checksum


def run(recipe: Recipe, settings: Settings, wanted: Invocation) -> int:
    """Plan a recipe and carry it out; return the exit code."""
    wanted.check()
    if wanted.dry_run and wanted.report:
        raise UsageError("--report records what was done, and --dry-run does nothing: omit one")
    if settings.output == STREAM:
        _check_output(wanted)
    attempt = partial(_run, recipe, settings, wanted, set())
    return patient(attempt, wanted.wait, quiet=wanted.quiet, alone=takes_one_file(settings))


def _run(recipe: Recipe, settings: Settings, wanted: Invocation, told: set[str]) -> int:
    """Run, or raise LockedError; an earlier attempt has `told` some notices already."""
    begun = time.monotonic()
    with batch.prepare(recipe, settings) as prepared:
        _warn(notice for notice in prepared.notices if notice not in told)
        told.update(prepared.notices)
        if wanted.dry_run:
            _show(prepared)
        prepared.plan.check()
        return 0 if wanted.dry_run else _carry_out(prepared, recipe, wanted, begun)


def _check_output(wanted: Invocation) -> None:
    """Raise UsageError if standard output cannot take a picture."""
    if wanted.report == STREAM:
        raise UsageError("--output - and --report - both write to standard output: use one file")
    if not wanted.dry_run and sys.stdout.isatty():
        raise UsageError(
            "--output - writes a picture to standard output, which is a terminal: send it into a "
            "file (> FILE) or a program (| PROGRAM), or give --output FILE"
        )


def _carry_out(prepared: batch.Batch, recipe: Recipe, wanted: Invocation, begun: float) -> int:
    planned = prepared.plan
    warned = len(prepared.notices)
    summary = Summary(
        jobs=prepared.workers,
        planned=planned.files,
        left_out=planned.left_out,
        left_over=prepared.left_over,
    )
    with ExitStack() as stack:
        report = None
        if wanted.report:
            report = reporting.current().begin(wanted.report, recipe)
        shown = progress.choose(len(planned.jobs), quiet=wanted.quiet)
        stack.callback(shown.close)
        control = Control(
            on_finish=lambda job, failed: shown.advance(_size_of(job), failed),
            on_notice=partial(_notice, shown),
        )
        # From the first file that is left behind until the last row of the report is written.
        stack.enter_context(_interruptible(control, summary, shown))
        prepared.begin()
        if len(planned.jobs) == 1:
            # This process is the worker, and not a guest in another program.
            worker_tasks.set_up()
        rows = _Rows(report, shown if wanted.verbose else None, logged=wanted.log is not None)
        trouble = _follow(prepared, control, summary, rows)
        summary.seconds = time.monotonic() - begun
        summary.stopped = trouble or prepared.stopped
        if report:
            reporting.current().finish(summary_row(summary))
    _warn(prepared.notices[warned:])
    if report and report.trouble:
        summary.report_lost = True
        _warn([f"the report is incomplete: {report.trouble}"])
    tell_summary(
        summary,
        prepared.place,
        report=wanted.report,
        quiet=wanted.quiet,
        salvage=prepared.salvages,
    )
    if summary.signal is not None:
        return signals.die_by(summary.signal)
    return summary.exit_code


class _Rows(Struct, frozen=True):
    """Where each file's outcome is shown: in a report, on the screen, in both or nowhere."""

    report: Report | None
    screen: progress.Progress | None
    logged: bool

    def __bool__(self) -> bool:
        return self.report is not None or self.screen is not None or self.logged

    def add(self, result: Result) -> None:
        if self.report:
            self.report.add(row(result))
        if not (self.screen or self.logged):
            return
        first, *warnings = lines_of(result)
        note(first, "ERROR" if result.failure else "INFO")
        for line in warnings:
            note(line.strip(), "WARNING")
        if self.screen:
            for line in (first, *warnings):
                self.screen.say(line)

    def add_pruned(self, one: LeftOver) -> None:
        if self.report:
            self.report.add(pruned_row(one))
        line = f"{one.path} removed: {why_left_over(one)}"
        note(line)
        if self.screen:
            self.screen.say(line)


def _follow(prepared: batch.Batch, control: Control, summary: Summary, rows: _Rows) -> str | None:
    """Carry the plan out to its end or an interruption; return what ended it early."""
    try:
        prepared.plan.skipped.fold_into(summary)
        if rows:
            for result in prepared.plan.skipped:
                rows.add(result)
        for result in prepared.results(control, supervised=True, sink=safe_streams.write_bytes):
            summary.add(result)
            rows.add(result)
        summary.pruned = len(prepared.pruned)
        for one in prepared.pruned:
            rows.add_pruned(one)
    except KeyboardInterrupt:
        # The second one: the workers are gone, and what they had begun is cleaned up.
        summary.signal = summary.signal or signal.SIGINT
    except WorkersError as error:
        # By now every file has its row, which says the same.
        return str(error)
    return None


def _notice(shown: progress.Progress, text: str) -> None:
    note(f"imgbatch: {text}", "WARNING")
    shown.say(f"imgbatch: {text}")


def _warn(notices: Iterable[str]) -> None:
    for notice in notices:
        complain(notice)


def _size_of(job: Any) -> int:
    source: Source = job.source
    return source.size


@contextmanager
def _interruptible(control: Control, summary: Summary, shown: progress.Progress) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM lets the files in hand finish, the second stops at once.

    "At once" is where the executor next looks, never in the middle of a row, and rows are written
    for what is finished. Only if that takes too long does a third one end the process by itself.
    None of this depends on anybody reading our output.
    """
    aborted = 0.0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal aborted
        safe_streams.hurry(2)
        if control.aborting:
            if time.monotonic() - aborted > _PATIENCE_SECONDS:
                signals.die_by(number)
        elif control.stopping:
            aborted = time.monotonic()
            safe_streams.hurry(1)
            summary.signal = summary.signal or number
            control.abort()
        else:
            summary.signal = number
            control.stop()
            text = "finishing the files in hand; interrupt again to stop at once"
            note(text, "WARNING")
            shown.cut_in(text)

    before = {number: signal.signal(number, interrupt) for number in signals.heeded()}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


_PATIENCE_SECONDS: Final = 10.0


def _show(prepared: batch.Batch) -> None:
    """Print the plan on standard output: it is what was asked for. Its totals are a message.

    Names are those of the run: where a source's suffix is wrong, its first bytes tell.
    """
    from imgbatch.planning.foreseen import Foreseen

    planned, pruned, settled = prepared.plan, prepared.removable(), Summary()
    planned.skipped.fold_into(settled)
    foreseen = Foreseen(planned.jobs)
    for job in planned.jobs:
        if not job.targets:
            tell(f"{job.source.path} cannot be listed")
            continue
        needed = checksum.still_needed(job)
        if not needed.targets:
            result = up_to_date(job.source, needed.kept, strict=prepared.is_strict)
            settled.add(result)
            tell_lines(lines_of(result))
        for expected in needed.targets:
            target = foreseen.settled(job.source, expected)
            if target is not expected and not foreseen.takes(target):
                why = f"{target.path} is another file's (its suffix is wrong)"
                tell(f"{job.source.path} fails: {why}")
                continue
            if target.path == job.source.path:
                tell(f"{job.source.path} is replaced")
                continue
            verb = "overwrites" if target.replace else "remakes" if target.known else "->"
            tell(f"{job.source.path} {verb} {target.path}")
    for result in planned.skipped:
        tell_lines(lines_of(result))
    for conflict in planned.conflicts:
        tell(f"{conflict.source.path} refused: {conflict.message}")
    for one in pruned.removed:
        tell(f"{one.path} would be removed: {why_left_over(one)}")
    _warn(pruned.notices)
    tell_totals(planned, settled, len(pruned.removed), prepared.left_over)
