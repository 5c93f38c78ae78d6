"""From Sources to Jobs: every target path is computed and checked before any pixel is touched.

There is one planner. Its policy decides about each source: results go to a folder (`to_folder`) or
replace their sources (`in_place`). What cannot be done is refused here, all of it at once, with the
names of the files and the option that helps.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import Struct, field

from imgbatch.errors import PlanError
from imgbatch.imaging import formats
from imgbatch.model import Earlier, Job, LeftOut, LeftOver, Made, Sort, Source, Target
from imgbatch.planning.compact import Jobs, Skips
from imgbatch.planning.numbering import Facts, Reader, numbered, one_by_one
from imgbatch.planning.output_paths import Conflict
from imgbatch.printable import shown
from imgbatch.recipes.recipe import Recipe

Lookup = Callable[[str], Made | None]
"""What is remembered about a target, by its path below the output folder."""

NAMED: Final = 5
"""How many files are named where there may be many; the rest are counted."""


def nothing_known(target: str) -> Made | None:
    """The Lookup of a folder in which nothing has been made yet."""
    return None


class Plan(Struct):
    """Everything that will be done: the jobs in scan order, and what is not done.

    `kept` are outputs that stay as they are beside others that a job makes of the same source, by
    their paths below the output folder. `left_out` is what was found but is not a picture to work
    on, `left_over` outputs of earlier runs that are not made any more. `known` is how many of the
    plan's targets the journal knows. `notices` are warnings that stop nothing, and do not belong to
    a single file.
    """

    output: str
    jobs: Jobs = field(default_factory=Jobs)
    skipped: Skips = field(default_factory=Skips)
    conflicts: list[Conflict] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    left_over: list[LeftOver] = field(default_factory=list)
    known: int = 0
    kept: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many sources will have an outcome."""
        return len(self.jobs) + len(self.skipped)

    def check(self) -> None:
        """Raise PlanError if something is in the way: the first few by name, and how many more."""
        if not self.conflicts:
            return
        lines = [f"  {shown(conflict.message)}" for conflict in self.conflicts[:NAMED]]
        if len(self.conflicts) > NAMED:
            lines.append(f"  … and {len(self.conflicts) - NAMED} more")
        remedies = dict.fromkeys(conflict.remedy for conflict in self.conflicts)
        raise PlanError(
            "nothing was written, because\n" + "\n".join(lines) + "\n" + "\n".join(remedies)
        )


class Make(Struct, frozen=True):
    """What is made of a source, and what is `kept` of it; without targets its row says why."""

    targets: tuple[Target, ...] = ()
    kept: tuple[Earlier, ...] = ()


class Skip(Struct, frozen=True):
    """Nothing is made of a source, and why.

    If its `outputs` (paths below the output folder) are up to date, `warned` says that they have
    warnings.
    """

    reason: str
    outputs: tuple[str, ...] = ()
    warned: bool = False


GIVEN_TWICE: Final = Skip("the same file was given twice")

Decision = Make | Skip | Conflict
"""The decision about a source."""


class Policy(ABC):
    """Decides about each source. Good for one plan, `planned`, which it may look at.

    `needs_headers` says that names need something that only headers tell, `uses_numbers` that the
    sources' numbers matter, `uses_dates` that it matters when they were taken.
    """

    def __init__(self, recipe: Recipe, folder: str, *, needs_headers: bool = False) -> None:
        self.planned = Plan(folder)
        self.needs_headers = needs_headers
        self.uses_numbers = recipe.uses("seq")
        self.uses_dates = recipe.uses("date")

    def quick(self, source: Source) -> Skip | None:
        """A quick check whether a source is up to date: None if that takes a longer one."""
        return None

    @abstractmethod
    def decide(self, source: Source, seq: int, facts: Facts | None) -> Decision:
        """Decide about the source with this number; `facts` come from its header, if needed.

        Targets become a job at once, with the index `len(self.planned.jobs)`.
        """

    @abstractmethod
    def finish(self) -> None:
        """Decide what requires all sources to be known."""


def plan(
    sources: Iterable[Source],
    policy: Policy,
    *,
    sort: Sort = "name",
    reader: Reader = one_by_one,
) -> Plan:
    """Compute and check all targets according to the policy.

    Sources are numbered in their order or, with `sort`, by date. If that or a name needs their
    headers, all sources are collected first, and `reader` reads the headers.
    """
    planned, missing = policy.planned, _Missing()
    by_date = sort == "date" and policy.uses_numbers
    needed = reader if by_date or policy.needs_headers else None
    for source, seq, facts in numbered(sources, needed, by_date=by_date):
        if (skip := policy.quick(source)) is not None:
            planned.skipped.append(source, skip.reason, skip.outputs, warned=skip.warned)
            continue
        if missing.has(source):
            continue
        decision = policy.decide(source, seq, facts)
        if isinstance(decision, Skip):
            planned.skipped.append(
                source, decision.reason, decision.outputs, warned=decision.warned
            )
        elif isinstance(decision, Conflict):
            planned.conflicts.append(decision)
        else:
            dated = facts.dated if facts and (by_date or policy.uses_dates) else None
            planned.jobs.append(Job(source, decision.targets, seq, dated, decision.kept))
    planned.conflicts.extend(missing.conflicts())
    policy.finish()
    return planned


def is_unlisted_folder(source: Source) -> bool:
    """Whether it is a folder that cannot be listed: it has no targets, and its row says why."""
    return not source.size and os.path.isdir(source.path)


def unreadable() -> dict[str, formats.Format]:
    """The suffixes of pictures that this installation cannot open, each with its format."""
    return {
        suffix: row
        for suffix, row in formats.SUFFIXES.items()
        if row.extra is not None and not formats.installed(row.extra)
    }


class _Missing:
    """Sources that need a missing optional package: one conflict per suffix."""

    def __init__(self) -> None:
        self._unreadable = unreadable()
        self._found: dict[str, list[Source]] = {}

    def has(self, source: Source) -> bool:
        """Whether it is one of them; it is then recorded."""
        if not self._unreadable or source.suffix not in self._unreadable:
            return False
        self._found.setdefault(source.suffix, []).append(source)
        return True

    def conflicts(self) -> Iterator[Conflict]:
        """A conflict for each suffix."""
        for suffix, sources in self._found.items():
            first = sources[0]
            which = (
                first.path if len(sources) == 1 else f"{len(sources)} files such as {first.path}"
            )
            extra = self._unreadable[suffix].extra
            yield Conflict(
                first,
                first.path,
                f"{which}: reading {suffix} needs: pip install 'imgbatch[{extra}]'",
                f"Install it, or omit them with --exclude '*{suffix}'.",
            )
