"""The conductor: scan, plan, cut into chunks, execute; results go to whoever asked for them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from imgbatch import atomic
from imgbatch.errors import NothingFoundError, UsageError
from imgbatch.executors import Control, Executor, Task, pool, processors, serial
from imgbatch.model import Job, Result
from imgbatch.plan import OnConflict, Plan, chunks, plan
from imgbatch.recipe import Recipe
from imgbatch.scan import Selection, scan


@dataclass(frozen=True, slots=True)
class Settings:
    """Where sources come from and where outputs go; what is made of them is the Recipe's.

    `output` None is the folder beside the given one, named after it and the recipe; `jobs` None
    is as many as there are processors to use. `listed` are files named one by one in a list, None
    if there is no list.
    """

    paths: tuple[str, ...]
    output: str | None = None
    jobs: int | None = None
    selection: Selection = field(default_factory=Selection)
    listed: tuple[str, ...] | None = None
    flat: bool = False
    on_conflict: OnConflict = "error"


def run(
    recipe: Recipe,
    paths: Sequence[str | os.PathLike[str]],
    *,
    output: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    recursive: bool = True,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    flat: bool = False,
    on_conflict: OnConflict = "error",
) -> Iterator[Result]:
    """Make `recipe` of everything below `paths`; yield one Result a source, as they come.

    The arguments are the command line's options. Everything is planned before this returns:
    raises UsageError, PlanError or NothingFoundError, and then nothing was written. A file that
    fails is a Result with a `failure`, not an exception. With more than one job a script needs
    the usual `if __name__ == "__main__":` of multiprocessing.
    """
    settings = Settings(
        paths=tuple(os.fspath(path) for path in paths),
        output=None if output is None else os.fspath(output),
        jobs=jobs,
        selection=Selection(recursive, tuple(include), tuple(exclude)),
        flat=flat,
        on_conflict=on_conflict,
    )
    planned = prepare(recipe, settings)
    planned.check()
    return execute(planned, recipe, workers_for(planned, settings))


def prepare(recipe: Recipe, settings: Settings) -> Plan:
    """Scan and plan, and write nothing. Raises UsageError or NothingFoundError."""
    if settings.jobs is not None and settings.jobs < 1:
        raise UsageError(f"found {settings.jobs} jobs, expected 1 or more")
    output = settings.output or default_output(recipe, settings)
    if os.path.exists(output) and not os.path.isdir(output):
        raise UsageError(f"the output {output} is a file; --output names a folder")
    sources = scan(settings.paths, settings.selection, output=output, listed=settings.listed or ())
    planned = plan(sources, recipe, output, flat=settings.flat, on_conflict=settings.on_conflict)
    if not planned.files and not planned.conflicts:
        places = ", ".join(settings.paths) or "the list"
        raise NothingFoundError(f"no image found in {places} (see `imgbatch formats`)")
    return planned


def default_output(recipe: Recipe, settings: Settings) -> str:
    """`<folder>-<recipe's name>` beside the one given folder; else raises UsageError."""
    if (
        len(settings.paths) != 1
        or settings.listed is not None
        or not os.path.isdir(settings.paths[0])
    ):
        for path in settings.paths:
            if not os.path.exists(path):
                raise UsageError(f"there is no file or folder {path!r}")
        raise UsageError("say where the pictures go: --output DIR (only one folder needs none)")
    folder = settings.paths[0]
    name = os.path.basename(os.path.normpath(folder))
    if name in ("", os.curdir, os.pardir):
        folder = os.path.abspath(folder)
        name = os.path.basename(folder)
    if not name:
        raise UsageError(f"there is no place beside {folder}: give --output DIR")
    return os.path.join(os.path.dirname(os.path.normpath(folder)), f"{name}-{recipe.name}")


def workers_for(planned: Plan, settings: Settings) -> int:
    """How many processes are worth it: never more than there are files."""
    return max(1, min(settings.jobs or processors.usable(), len(planned.jobs)))


def execute(
    planned: Plan, recipe: Recipe, workers: int, control: Control | None = None
) -> Iterator[Result]:
    """Carry a checked plan out; yield its skipped results, then the others as they come."""
    from imgbatch import worker

    control = control or Control()
    for result in planned.skipped:
        control.finished(result, False)
        yield result
    run_word = atomic.new_run()
    task: Task[Job, Result] = Task(
        function=partial(worker.process, recipe=recipe, run=run_word),
        lost=worker.lost,
        failed=worker.failed,
        set_up=worker.tune_process,
    )
    executor: Executor = serial.run if workers == 1 else pool.run
    undisturbed = False
    try:
        yield from executor(task, list(chunks(planned.jobs, workers)), workers, control)
        undisturbed = not (control.stopping or control.workers_died)
    finally:
        if not undisturbed:
            folders = {os.path.dirname(one.path) for job in planned.jobs for one in job.targets}
            atomic.sweep(folders, run_word)
