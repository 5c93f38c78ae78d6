"""From Sources to Jobs: every target path is computed and checked before any pixel is touched.

What cannot be done is refused here, all of it at once, with the names of the files and the
option that helps.
"""

from __future__ import annotations

import itertools
import os
import stat
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, get_args

from imgbatch.errors import PlanError
from imgbatch.imaging import formats
from imgbatch.model import UP_TO_DATE, FileState, Job, Made, OnConflict, Sort, Source, Target
from imgbatch.naming import folded, shown
from imgbatch.planning.compact import Jobs, Skips
from imgbatch.planning.numbering import Facts, Reader, numbered, one_by_one
from imgbatch.planning.output_paths import Conflict, Targets, suffix_of
from imgbatch.recipes.recipe import Output, Recipe
from imgbatch.store import checksum, local_files

ON_CONFLICT: Final[tuple[OnConflict, ...]] = get_args(OnConflict)

CHUNK_COST: Final = 48_000_000
"""The cost of a second's work or so: 48 MB of camera JPEG on one processor."""
FILE_COST: Final = 30_000
"""What a file costs beside its bytes, in the same measure."""

Lookup = Callable[[str], Made | None]
"""What is remembered of a target, by its path below the output folder."""

_PLAIN: Final = "{stem}{ext}"
_TWICE: Final = "the same file was given twice"
_NAMED_CONFLICTS: Final = 5


def _nothing_known(target: str) -> Made | None:
    return None


@dataclass(slots=True)
class Plan:
    """Everything that will be done: the jobs in the order of the scan, and what is not done.

    `notices` are warnings that stop nothing, and belong to no single file.
    """

    output: str
    jobs: Jobs = field(default_factory=Jobs)
    skipped: Skips = field(default_factory=Skips)
    conflicts: list[Conflict] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many sources have an outcome in the end."""
        return len(self.jobs) + len(self.skipped)

    def check(self) -> None:
        """Raise PlanError if something is in the way: the first few by name, and how many more."""
        if not self.conflicts:
            return
        lines = [f"  {shown(conflict.message)}" for conflict in self.conflicts[:_NAMED_CONFLICTS]]
        if len(self.conflicts) > _NAMED_CONFLICTS:
            lines.append(f"  … and {len(self.conflicts) - _NAMED_CONFLICTS} more")
        remedies = dict.fromkeys(conflict.remedy for conflict in self.conflicts)
        raise PlanError(
            "nothing was written, because\n" + "\n".join(lines) + "\n" + "\n".join(remedies)
        )


def plan(
    sources: Iterable[Source],
    recipe: Recipe,
    output: str,
    *,
    flat: bool = False,
    on_conflict: OnConflict = "error",
    lookup: Lookup = _nothing_known,
    force: bool = False,
    sort: Sort = "name",
    reader: Reader = one_by_one,
) -> Plan:
    """Compute and check all targets below the folder `output`.

    With `flat` the sources' folders are not mirrored. `lookup` tells what is known of a target
    from runs before: what is up to date is skipped (not with `force`), and what is not replaces
    what those runs made. `on_conflict` says what becomes of any other file that exists already,
    and of two sources with one target. A target that is itself a source is always refused, and
    so is one outside `output`.

    Sources are numbered in their order or, with `sort`, by date. Where that or a name needs their
    headers, all sources are awaited, and `reader` reads those.
    """
    targets = Targets(recipe, output, flat=flat)
    planner = _Planner(recipe, targets, flat, on_conflict, lookup, force, Plan(output))
    by_date = sort == "date" and recipe.uses("seq")
    needed = reader if by_date or targets.need_header else None
    for source, seq, facts in numbered(sources, needed, by_date=by_date):
        planner.add(source, seq, facts)
    return planner.finish()


def unreadable() -> dict[str, formats.Format]:
    """The suffixes of pictures that this installation cannot open, each with its format."""
    return {
        suffix: row
        for suffix, row in formats.SUFFIXES.items()
        if row.extra is not None and not formats.installed(row.extra)
    }


def plan_in_place(
    sources: Iterable[Source],
    recipe: Recipe,
    folder: str,
    *,
    lookup: Lookup = _nothing_known,
    force: bool = False,
    sort: Sort = "name",
    reader: Reader = one_by_one,
    backup: str | None = None,
) -> Plan:
    """Compute the targets of sources below `folder` that are to be replaced themselves.

    They are numbered as by `plan`. `backup` is the folder that the originals are put into.
    """
    planned = Plan(folder)
    (output,) = recipe.outputs
    digest = recipe.digest_of(output)
    seen: set[str] = set()
    missing = _Missing()
    links = _Links(backup)
    by_date = sort == "date" and recipe.uses("seq")
    for source, seq, _ in numbered(sources, reader if by_date else None, by_date=by_date):
        if missing.has(source):
            continue
        if source.relative in seen:
            planned.skipped.append(source, _TWICE)
            continue
        seen.add(source.relative)
        made = lookup(source.relative)
        wrong = links.conflict(source) or _raw_conflict(source)
        if wrong is not None:
            planned.conflicts.append(wrong)
            continue
        if not source.size and os.path.isdir(source.path):
            planned.jobs.append(Job(source, (), seq))
            continue
        unless = None
        if not force and made and made.recipe == digest and made.size == source.size:
            if source.state.equals(made.state):
                planned.skipped.append(source, UP_TO_DATE)
                continue
            unless = made.hash
        again = unless is None and _is_made_again(made, source)
        target = Target(
            output.name, folder, source.relative, known=source.state, again=again, unless=unless
        )
        planned.jobs.append(Job(source, (target,), seq))
    planned.conflicts.extend(missing.conflicts())
    planned.notices.extend(links.notices())
    return planned


def _is_made_again(made: Made | None, source: Source) -> bool:
    """Whether a file that is to be replaced is itself a result, whose original is in the backup.

    What needed nothing done was left as it was, and is nobody's result.
    """
    if made is None or (made.hash is not None and made.hash == made.source_hash):
        return False
    if source.state.equals(made.state) or made.hash is None:
        return _is_ours(made, source.state)
    return source.state.resembles(made.state) and checksum.matches(source.path, made.hash)


def _raw_conflict(source: Source) -> Conflict | None:
    if formats.SUFFIXES.get(source.suffix) is not formats.RAW:
        return None
    return Conflict(
        source,
        source.path,
        f"{source.path} is a camera's raw file, which only a camera can write",
        "Leave it out with --exclude, or make JPEGs in another folder (--output).",
    )


class _Links:
    """What is known of the links among files that are to be replaced."""

    def __init__(self, backup: str | None) -> None:
        self._backup = backup
        self._folders: dict[str, bool] = {}
        self._twins: dict[tuple[int, int], list[str]] = {}

    def conflict(self, source: Source) -> Conflict | None:
        """Why a source cannot be replaced: it is a link, or lies behind one."""
        try:
            found = os.lstat(source.path)
        except (OSError, ValueError):
            # Its row will say so.
            return None
        if stat.S_ISLNK(found.st_mode):
            return Conflict(
                source,
                source.path,
                f"{source.path} is a link, and would become a file of its own",
                "Leave it out with --exclude, or give the folder that it leads to.",
            )
        folder = source.relative.rpartition("/")[0]
        if folder and (link := self._link_above(source.root, folder)) is not None:
            path = os.path.join(source.root, *link.split("/"))
            return Conflict(
                source,
                source.path,
                f"{source.path} lies behind the link {path}, outside of the folder given",
                f"Leave it out with --exclude '{link}/*', or give the folder that it leads to.",
            )
        if found.st_nlink > 1 + self._is_in_backup(source, found):
            self._twins.setdefault((found.st_dev, found.st_ino), []).append(source.path)
        return None

    def _is_in_backup(self, source: Source, found: os.stat_result) -> bool:
        """Whether one of its names is there, put by a run that was killed just then."""
        if self._backup is None:
            return False
        kept = _identity(os.path.join(self._backup, *source.mirrored.split("/")))
        return kept == (found.st_dev, found.st_ino)

    def _link_above(self, root: str, folder: str) -> str | None:
        """The first of the folders of a path below `root` that is a link."""
        names = folder.split("/")
        for count in range(1, len(names) + 1):
            above = "/".join(names[:count])
            if above not in self._folders:
                self._folders[above] = os.path.islink(os.path.join(root, *names[:count]))
            if self._folders[above]:
                return above
        return None

    def notices(self) -> Iterator[str]:
        """What to tell of files with several names before each becomes a file of its own."""
        for paths in itertools.islice(self._twins.values(), _NAMED_CONFLICTS):
            named = f"{paths[0]} and {paths[1]} are" if len(paths) > 1 else f"{paths[0]} is"
            yield (
                f"{named} one file with several names (hard links): each name that is worked on "
                "becomes a file of its own, the others keep what they have"
            )
        if (more := len(self._twins) - _NAMED_CONFLICTS) > 0:
            yield f"so are {more} more"


def chunks(sizes: Sequence[int], workers: int) -> Iterator[array[int]]:
    """Cut jobs into portions of about a second, largest files first, smaller towards the end.

    `sizes` are those of the jobs' sources in bytes; a portion is a sequence of their indices.
    The last portions are single files, so that all workers end at nearly the same time.
    """
    order = array("L", sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True))
    left = sum(sizes) + FILE_COST * len(sizes)
    start = cost = 0
    for end, index in enumerate(order):
        limit = min(CHUNK_COST, left / (3 * workers))
        own = sizes[index] + FILE_COST
        if end > start and cost + own > limit:
            yield order[start:end]
            left -= cost
            start, cost = end, 0
        cost += own
    if start < len(order):
        yield order[start:]


class _Missing:
    """Sources that cannot be read because an optional package is missing: one conflict a suffix."""

    def __init__(self) -> None:
        self._unreadable = unreadable()
        self._found: dict[str, list[Source]] = {}

    def has(self, source: Source) -> bool:
        """Whether it is one of them; then it is remembered."""
        if not self._unreadable or source.suffix not in self._unreadable:
            return False
        self._found.setdefault(source.suffix, []).append(source)
        return True

    def conflicts(self) -> Iterator[Conflict]:
        """What to tell of them."""
        for suffix, sources in self._found.items():
            first = sources[0]
            which = first.path if len(sources) == 1 else f"{len(sources)} files as {first.path}"
            extra = self._unreadable[suffix].extra
            yield Conflict(
                first,
                first.path,
                f"{which}: reading {suffix} needs: pip install 'imgbatch[{extra}]'",
                f"Install it, or leave them out with --exclude '*{suffix}'.",
            )


class _Planner:
    """The state of one planning: which names are taken, and by which job."""

    def __init__(
        self,
        recipe: Recipe,
        targets: Targets,
        flat: bool,
        on_conflict: OnConflict,
        lookup: Lookup,
        force: bool,
        planned: Plan,
    ) -> None:
        self.plan = planned
        self._absolute = absolute_paths()
        self._recipe = recipe
        self._digests = {out.name: recipe.digest_of(out) for out in recipe.outputs}
        self._targets = targets
        self._on_conflict = on_conflict
        self._lookup = lookup
        self._force = force
        # Who has a target, by the hash of its key, which is much smaller. Should two keys have
        # one hash, the names are still safe: nothing is published over what is there.
        self._taken: dict[int, int] = {}
        self._missing = _Missing()
        self._superseded: set[int] = set()
        self._existing: dict[tuple[int, int], str] = {}
        self._plain = (
            [out.template.text for out in recipe.outputs] == [_PLAIN]
            and on_conflict == "error"
            and not (flat or force)
        )

    def add(self, source: Source, seq: int, facts: Facts | None) -> None:
        """Plan one source: a job, a skipped result, or a conflict."""
        if self._plain and self._is_current(source):
            self.plan.skipped.append(source, UP_TO_DATE)
            return
        if self._missing.has(source):
            return
        if not source.size and os.path.isdir(source.path):
            # A folder that cannot be listed: it has no targets, and its row will say why.
            self.plan.jobs.append(Job(source, (), seq))
            return
        relatives = self._targets.of(source, seq, facts)
        if isinstance(relatives, Conflict):
            self.plan.conflicts.append(relatives)
            return
        targets: list[Target] = []
        stay: list[str] = []
        for output, relative in zip(self._recipe.outputs, relatives, strict=True):
            target = self._target(source, output, relative)
            if target is None:
                return
            if isinstance(target, str):
                stay.append(target)
            else:
                targets.append(target)
        if not targets:
            there = [path for path in stay if path != UP_TO_DATE]
            self._skip(source, f"already there: {', '.join(there)}" if there else UP_TO_DATE)
            return
        index = len(self.plan.jobs)
        self.plan.jobs.append(Job(source, tuple(targets), seq))
        for target in targets:
            self._taken[hash(folded(target.relative))] = index

    def _is_current(self, source: Source) -> bool:
        """A quick look at whether a source that has one output, of its own name, is up to date."""
        stem, dot, suffix = source.mirrored.rpartition(".")
        output = self._recipe.outputs[0]
        suffix = suffix_of(dot + suffix, output.encoding.format) if dot else ""
        relative = stem + suffix if dot else source.mirrored
        made = self._lookup(relative)
        # Nearly all files of a second run come this way.
        if made is None or not made.suits(source, self._digests[output.name]):
            return False
        if not made.is_certain(source):
            return False
        if made.source != self._absolute(source) and not self._is_from(made, source):
            return False
        path = self._real_path(relative, made)
        return _is_whole(made, local_files.state(path))

    def _is_of(self, made: Made, source: Source, output: Output) -> bool:
        """Whether what was made is of this very source, as it is now, and of this output."""
        return made.suits(source, self._digests[output.name]) and self._is_from(made, source)

    def finish(self) -> Plan:
        """The plan, once every existing target was compared with every source.

        One that is a source, by name, by link or by hard link, is refused whatever the options
        say.
        """
        if self._superseded:
            self.plan.jobs = self.plan.jobs.without(self._superseded)
        self.plan.conflicts.extend(self._missing.conflicts())
        if self._existing:
            sources = itertools.chain(
                (job.source for job in self.plan.jobs),
                [conflict.source for conflict in self.plan.conflicts],
                (result.source for result in self.plan.skipped),
            )
            originals = {
                self._existing[identity]: source
                for source in sources
                if (identity := _identity(source.path)) in self._existing
            }
            self.plan.conflicts = [
                conflict for conflict in self.plan.conflicts if conflict.target not in originals
            ]
            for target, source in originals.items():
                what = "is" if _same_name(target, source.path) else "is a link to"
                self._refuse(
                    source,
                    target,
                    f"{target} {what} the original {source.path}",
                    "Originals are never overwritten: use another --output or --name.",
                )
        return self.plan

    def _target(self, source: Source, output: Output, relative: str) -> Target | str | None:
        """The target of one output; or UP_TO_DATE, or the path of a file that is there already
        and stays; or None once the source was skipped or refused.
        """
        rival = self._rival(relative)
        if rival is not None and rival.source.path == source.path:
            self._skip(source, _TWICE)
            return None
        if self._on_conflict == "rename":
            relative = self._free_name(source, output, relative)
            if (wrong := self._targets.too_long(source, relative)) is not None:
                self.plan.conflicts.append(wrong)
                return None
        elif rival is not None and not self._may_supersede(source, output, relative, rival):
            return None
        made = self._lookup(relative)
        path = self._real_path(relative, made)
        target = Target(
            output.name,
            self.plan.output,
            relative,
            any_suffix=output.encoding.format is None,
            standing=os.fsdecode(made.path) if made is not None and made.path else None,
        )
        state = local_files.state(path)
        if state is None:
            return target
        objection = f"{path} exists already"
        if made is not None:
            current = not self._force and self._is_of(made, source, output)
            if current and _is_whole(made, state):
                if made.is_certain(source):
                    return UP_TO_DATE
                # Somebody touched the source, or it was copied: whoever does the job compares.
                target = replace(target, unless=made.source_hash)
            if _is_ours(made, state):
                if self._is_from(made, source):
                    self._remember_existing(path)
                    return self._replacing(target, made, state)
                origin = os.fsdecode(made.source or made.next_source or b"")
                objection = f"{path} was made from another picture, {origin}"
            elif target.unless is not None:
                return replace(target, replace=self._on_conflict == "overwrite")
            elif self._may_be_torn(made, state, source, output):
                return replace(target, claimed=True, replace=self._on_conflict == "overwrite")
            elif made.size is not None:
                objection = f"{path} was changed since imgbatch made it"
        return self._despite(source, target, path, objection)

    def _replacing(self, target: Target, made: Made, state: FileState) -> Target:
        """The target, where what a run made of its source before is to be replaced."""
        if state.size == 0 or state.equals(made.state) or state.size != made.size:
            return replace(target, known=state)
        # It may be a copy, or have been edited with its time kept: the worker looks at its bytes.
        overwrite = self._on_conflict == "overwrite"
        return replace(target, known=state, known_hash=made.hash, replace=overwrite)

    def _may_be_torn(self, made: Made, state: FileState, source: Source, output: Output) -> bool:
        """Whether a file may be what a power cut left of this very output.

        It is, if it has these bytes as far as it goes: whoever makes them compares.
        """
        if state.size < 0:
            return False
        if made.was_to_suit(source, self._digests[output.name]):
            return True
        return (
            made.size is not None and state.size < made.size and self._is_of(made, source, output)
        )

    def _despite(
        self, source: Source, target: Target, path: str, objection: str
    ) -> Target | str | None:
        """What becomes of a target where a file stands that is not simply to be replaced."""
        if os.path.isdir(path):
            self._refuse(
                source,
                path,
                f"{path} is a folder, and {source.path} would get its name",
                "Use another --name or --output.",
            )
            return None
        if self._on_conflict == "skip":
            return path
        self._remember_existing(path)
        if self._on_conflict == "overwrite":
            return replace(target, replace=True)
        self._refuse(
            source,
            path,
            objection,
            "Use --on-conflict skip, overwrite or rename, or another --output.",
        )
        return None

    def _rival(self, relative: str) -> Job | None:
        """Another source's job with the same target."""
        own = folded(relative)
        index = self._taken.get(hash(own))
        if index is None or index in self._superseded:
            return None
        job = self.plan.jobs[index]
        return job if any(folded(target.relative) == own for target in job.targets) else None

    def _free_name(self, source: Source, output: Output, relative: str) -> str:
        """`a.jpg`, or the first of `a-2.jpg`, `a-3.jpg`, … that nobody has but this source."""
        stem, suffix = os.path.splitext(relative)
        for number in itertools.count(2):
            if self._rival(relative) is None:
                made = self._lookup(relative)
                state = local_files.state(self._real_path(relative, made))
                if state is None or (made and self._is_free(made, state, source, output)):
                    break
            relative = f"{stem}-{number}{suffix}"
        return relative

    def _is_free(self, made: Made, state: FileState, source: Source, output: Output) -> bool:
        """Whether a file that stands there is this source's own."""
        if self._is_of(made, source, output) and _is_whole(made, state):
            return True
        return _is_ours(made, state) and self._is_from(made, source)

    def _is_from(self, made: Made, source: Source) -> bool:
        """Whether a target was, or was to be, made from this source.

        One that is not where it was may have been moved here, if size and time are the same;
        another that is still there is another, even then.
        """
        recorded = made.source or made.next_source or b""
        if recorded == self._absolute(source):
            return True
        if not os.path.lexists(recorded):
            return (made.source_size, made.source_mtime_ns) == (source.size, source.mtime_ns)
        try:
            return os.path.samefile(recorded, os.fsencode(source.path))
        except (OSError, ValueError):
            return False

    def _may_supersede(self, source: Source, output: Output, relative: str, rival: Job) -> bool:
        """Whether a target that another source has, too, goes to this one."""
        path = self._targets.path(relative)
        if self._on_conflict == "overwrite":
            # One picture per name: the last is made, and the other's row says why it is not.
            self._superseded.add(self._taken[hash(folded(relative))])
            self._skip(rival.source, f"{path} goes to {source.path} (--on-conflict overwrite)")
            return True
        if self._on_conflict == "skip":
            self._skip(source, f"{path} goes to {rival.source.path} (--on-conflict skip)")
        else:
            self._refuse(
                source,
                path,
                f"{rival.source.path} and {source.path} would both become {path}",
                self._targets.remedy(output.name),
            )
        return False

    def _refuse(self, source: Source, target: str, message: str, remedy: str) -> None:
        self.plan.conflicts.append(Conflict(source, target, message, remedy))

    def _skip(self, source: Source, reason: str) -> None:
        self.plan.skipped.append(source, reason)

    def _remember_existing(self, path: str) -> None:
        identity = _identity(path)
        if identity is not None:
            self._existing[identity] = path

    def _real_path(self, relative: str, made: Made | None) -> str:
        """Where a target stands if it was made: its suffix may have been another."""
        if made is None or made.path is None:
            return self._targets.path(relative)
        return self._targets.path(os.fsdecode(made.path))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _is_ours(made: Made, state: FileState) -> bool:
    """Whether a file in this state is what was made, and nobody changed it since.

    One that is empty was emptied by a power cut, and holds nothing that could be lost. The same
    cut can leave one shorter than it was, and all else as it was: a program that shortens it may
    keep its time, but cannot keep its ctime. Where only what a copy changes, too, is different,
    the bytes have to decide.
    """
    if state.size == 0 or state.equals(made.state):
        return True
    if made.size is not None and 0 < state.size < made.size and made.ctime_ns:
        return state._replace(size=made.size) == made.state
    return state.resembles(made.state) and made.hash is not None


def _is_whole(made: Made, state: FileState | None) -> bool:
    """Whether a file is up to date, if its source and recipe are.

    The time of a copy does not matter; but a run that did not end may have made it anew.
    """
    if state is None or state.size != made.size:
        return False
    return made.next_recipe is None or state.resembles(made.state)


def absolute_paths() -> Callable[[Source], bytes]:
    """A function that gives the absolute path of a source, as the system has it."""
    roots: dict[str, str] = {}

    def absolute(source: Source) -> bytes:
        root = roots.get(source.root)
        if root is None:
            root = roots[source.root] = os.path.join(os.path.abspath(source.root), "")
        return os.fsencode(root + source.relative)

    return absolute


def _same_name(one: str, other: str) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)
