"""From Sources to Jobs: every target path is computed and checked before any pixel is touched.

What cannot be done is refused here, all of it at once, with the names of the files and the
option that helps.
"""

from __future__ import annotations

import itertools
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from imgbatch.errors import PlanError
from imgbatch.imaging import formats
from imgbatch.model import Job, Result, Source, Target
from imgbatch.recipe import Output, Recipe

OnConflict = Literal["error", "skip", "overwrite", "rename"]
ON_CONFLICT: Final[tuple[OnConflict, ...]] = get_args(OnConflict)

CHUNK_COST: Final = 48_000_000
"""The cost of a second's work or so: 48 MB of camera JPEG on one processor."""
FILE_COST: Final = 30_000
"""What a file costs beside its bytes, in the same measure."""

_NAMED_CONFLICTS: Final = 5


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something in the way of a target, in words, and the option that helps."""

    source: Source
    target: str
    message: str
    remedy: str


@dataclass(slots=True)
class Plan:
    """Everything that will be done: the jobs in the order of the scan, and what is not done."""

    output: str
    jobs: list[Job] = field(default_factory=list)
    skipped: list[Result] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many sources have an outcome in the end."""
        return len(self.jobs) + len(self.skipped)

    def check(self) -> None:
        """Raise PlanError if something is in the way: the first few by name, and how many more."""
        if not self.conflicts:
            return
        lines = [f"  {conflict.message}" for conflict in self.conflicts[:_NAMED_CONFLICTS]]
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
) -> Plan:
    """Compute and check all targets below the folder `output`.

    With `flat` the sources' folders are not mirrored. `on_conflict` says what becomes of a
    target that exists already, and of two sources with one target. A target that is itself a
    source is always refused, and so is one outside `output`.
    """
    planner = _Planner(recipe, output, flat, on_conflict)
    for seq, source in enumerate(sources, 1):
        planner.add(source, seq)
    return planner.finish()


def chunks(jobs: Iterable[Job], workers: int) -> Iterator[list[Job]]:
    """Cut jobs into portions of about a second, largest files first, smaller towards the end.

    The last portions are single files, so that all workers end at nearly the same time.
    """
    ordered = sorted(jobs, key=_cost, reverse=True)
    left = sum(map(_cost, ordered))
    chunk: list[Job] = []
    cost = 0
    for job in ordered:
        limit = min(CHUNK_COST, left / (3 * workers))
        if chunk and cost + _cost(job) > limit:
            yield chunk
            left -= cost
            chunk, cost = [], 0
        chunk.append(job)
        cost += _cost(job)
    if chunk:
        yield chunk


def _cost(job: Job) -> int:
    return job.source.size + FILE_COST


class _Planner:
    """The state of one planning: which names are taken, and by which job."""

    def __init__(self, recipe: Recipe, output: str, flat: bool, on_conflict: OnConflict) -> None:
        self.plan = Plan(output)
        self._recipe = recipe
        self._flat = flat
        self._on_conflict = on_conflict
        self._planned: list[Job | None] = []
        self._taken: dict[str, int] = {}
        self._existing: dict[tuple[int, int], str] = {}
        self._needs_header = any(out.template.needs_header for out in recipe.outputs)

    def add(self, source: Source, seq: int) -> None:
        """Plan one source: a job, a skipped result, or a conflict."""
        if not source.size and os.path.isdir(source.path):
            # A folder that cannot be listed: it has no targets, and its row will say why.
            self._planned.append(Job(source, ()))
            return
        fields = self._header_fields(source) if self._needs_header else {}
        targets: dict[str, Target] = {}
        there: list[str] = []
        for output in self._recipe.outputs:
            target = self._target(source, output, seq, fields)
            if target is None:
                return
            if isinstance(target, str):
                there.append(target)
                continue
            twin = targets.setdefault(_key(target.path), target)
            if twin is not target:
                self._refuse(
                    source,
                    target.path,
                    f"the outputs {twin.output} and {target.output} of {source.path} "
                    f"would both become {target.path}",
                    "Put {output} into --name.",
                )
                return
        if not targets:
            self._skip(source, f"already there: {', '.join(there)}")
            return
        index = len(self._planned)
        self._planned.append(Job(source, tuple(targets.values())))
        self._taken.update(dict.fromkeys(targets, index))

    def finish(self) -> Plan:
        """The plan, once every existing target was compared with every source.

        One that is a source, by name, by link or by hard link, is refused whatever the options
        say.
        """
        self.plan.jobs.extend(job for job in self._planned if job is not None)
        if self._existing:
            sources = [job.source for job in self.plan.jobs]
            sources += [conflict.source for conflict in self.plan.conflicts]
            sources += [result.source for result in self.plan.skipped]
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

    def _target(
        self, source: Source, output: Output, seq: int, fields: Mapping[str, object]
    ) -> Target | str | None:
        """The target of one output; or the path of a file that is there already and stays; or
        None once the source was skipped or refused.
        """
        path = self._path(source, output, seq, fields)
        if path is None:
            return None
        rival = self._rival(path)
        if rival is not None and rival.source.path == source.path:
            self._skip(source, "the same file was given twice")
            return None
        if self._on_conflict == "rename":
            path = self._free_name(path)
        elif rival is not None and not self._may_supersede(source, path, rival):
            return None
        replace = False
        if os.path.lexists(path):
            if self._on_conflict == "skip" and not os.path.isdir(path):
                return path
            if not self._may_replace(source, path):
                return None
            replace = True
        return Target(output.name, path, replace, output.encoding.format is None)

    def _rival(self, path: str) -> Job | None:
        index = self._taken.get(_key(path))
        return None if index is None else self._planned[index]

    def _free_name(self, path: str) -> str:
        """`a.jpg`, or the first of `a-2.jpg`, `a-3.jpg`, … that nobody has."""
        stem, suffix = os.path.splitext(path)
        for number in itertools.count(2):
            if self._rival(path) is None and not os.path.lexists(path):
                break
            path = f"{stem}-{number}{suffix}"
        return path

    def _may_supersede(self, source: Source, path: str, rival: Job) -> bool:
        """Whether a target that another source has, too, goes to this one."""
        if self._on_conflict == "overwrite":
            # One picture per name: the last is made, and the other's row says why it is not.
            self._planned[self._taken[_key(path)]] = None
            self._skip(rival.source, f"{path} goes to {source.path} (--on-conflict overwrite)")
            return True
        if self._on_conflict == "skip":
            self._skip(source, f"{path} goes to {rival.source.path} (--on-conflict skip)")
        else:
            self._refuse(
                source,
                path,
                f"{rival.source.path} and {source.path} would both become {path}",
                "Use --on-conflict rename (or skip), or a --name that tells them apart.",
            )
        return False

    def _may_replace(self, source: Source, path: str) -> bool:
        """Whether something that stands at a target already may be overwritten."""
        if os.path.isdir(path):
            self._refuse(
                source,
                path,
                f"{path} is a folder, and {source.path} would get its name",
                "Use another --name or --output.",
            )
            return False
        self._remember_existing(path)
        if self._on_conflict == "overwrite":
            return True
        self._refuse(
            source,
            path,
            f"{path} exists already",
            "Use --on-conflict skip, overwrite or rename, or another --output.",
        )
        return False

    def _refuse(self, source: Source, target: str, message: str, remedy: str) -> None:
        self.plan.conflicts.append(Conflict(source, target, message, remedy))

    def _skip(self, source: Source, reason: str) -> None:
        self.plan.skipped.append(Result(source, "skipped", reason=reason))

    def _remember_existing(self, path: str) -> None:
        identity = _identity(path)
        if identity is not None:
            self._existing[identity] = path

    def _path(
        self, source: Source, output: Output, seq: int, fields: Mapping[str, object]
    ) -> str | None:
        folder, _, name = source.mirrored.rpartition("/")
        stem, suffix = os.path.splitext(name)
        rendered = output.template.render(
            {
                "stem": stem,
                "ext": _suffix(suffix, output),
                "dir": folder,
                "output": output.name,
                "seq": seq,
                **fields,
                **_sizes(fields, output),
            }
        )
        if folder and not self._flat and "dir" not in output.template.fields:
            rendered = f"{folder}/{rendered}"
        parts = [part for part in rendered.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            self._refuse(
                source,
                rendered,
                f"{source.path} would be written to {rendered}, outside the output folder",
                "Use another --name, or --output for another folder.",
            )
            return None
        return os.path.join(self.plan.output, *parts)

    def _header_fields(self, source: Source) -> dict[str, object]:
        """What only the file's header tells, with stated fallbacks for what it does not."""
        from imgbatch.errors import PictureError
        from imgbatch.imaging.decode import Header, read_header

        try:
            header = read_header(source.path)
        except PictureError:
            # The worker will say so in this source's row.
            header = Header((0, 0))
        return {
            "date": _date(header.date, source.mtime_ns),
            "camera": header.camera or "unknown",
            "source_size": header.size,
        }


def _sizes(fields: Mapping[str, object], output: Output) -> dict[str, object]:
    size = fields.get("source_size", (0, 0))
    if not isinstance(size, tuple) or 0 in size:
        return {"width": 0, "height": 0}
    width, height = output.output_size(size)
    return {"width": width, "height": height}


def _date(text: str | None, mtime_ns: int) -> datetime:
    try:
        return datetime.strptime(text or "", "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9).astimezone()
    except (ValueError, OverflowError, OSError):
        # Some file systems know dates beyond the year 9999.
        return datetime.fromtimestamp(0, UTC)


def _suffix(suffix: str, output: Output) -> str:
    """The suffix an output gets: the format's, or the source's own where that is kept."""
    if output.encoding.format is not None:
        return formats.BY_NAME[output.encoding.format].suffixes[0]
    row = formats.SUFFIXES.get(suffix.lower())
    return row.suffix_for(suffix) if row else suffix


def _key(path: str) -> str:
    """Equal for names that are one file on a system that folds case or Unicode forms."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _same_name(one: str, other: str) -> bool:
    return os.path.abspath(one) == os.path.abspath(other)
