"""Jobs and skipped results in a fifth of their size, for plans of a million files.

They are kept as byte strings and rebuilt whenever one is asked for. What many have in common
(a root, an output's name, a reason) is kept once.
"""

from __future__ import annotations

import marshal
from abc import abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

from msgspec.structs import astuple

from imgbatch.model import (
    UP_TO_DATE,
    Dated,
    Earlier,
    FileState,
    Job,
    Notice,
    NoticeKind,
    Result,
    Source,
    Summary,
    Target,
    Written,
    up_to_date,
)

T = TypeVar("T")
Known = Callable[[Sequence[str]], Sequence[Earlier]]


class _Texts:
    """Texts by number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return found


class _Packed(Sequence[T], Generic[T]):
    """A growing sequence that hands out new objects."""

    def __init__(self) -> None:
        self._rows: list[bytes] = []
        self._texts = _Texts()

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._unpacked(row) for row in self._rows[index]]
        return self._unpacked(self._rows[index])

    def __iter__(self) -> Iterator[T]:
        return map(self._unpacked, self._rows)

    @abstractmethod
    def _unpacked(self, row: bytes) -> T:
        """What was packed into a row."""

    def _of_source(self, source: Source) -> tuple[int | str, ...]:
        number = self._texts.number
        root, below = number(source.root), number(source.below)
        state = (source.size, source.mtime_ns, source.ctime_ns, source.inode)
        if source.copy:
            return (root, below, source.relative, *state, source.copy)
        return (root, below, source.relative, *state)

    def _source(self, root: int, below: int, relative: str, *state: Any) -> Source:
        texts = self._texts.texts
        size, mtime_ns, *rest = state
        return Source(texts[root], relative, size, mtime_ns, texts[below], *rest)


class Jobs(_Packed[Job]):
    """Jobs; `sizes` are those of their sources, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = array("Q")

    def append(self, job: Job) -> None:
        """Add one at the end."""
        mirrored = job.source.mirrored
        targets = tuple(
            (
                self._texts.number(target.output),
                self._texts.number(target.root),
                None if target.relative == mirrored else target.relative,
                target.replace,
                None if target.known is None else (*target.known,),
                target.any_suffix,
                target.again,
                target.claimed,
                target.unless,
                target.standing,
                target.known_hash,
                target.replaces,
                _packed(target.earlier),
            )
            for target in job.targets
        )
        kept = tuple(map(_packed, job.kept))
        row = (self._of_source(job.source), targets, job.seq, kept)
        self._rows.append(marshal.dumps((*row, *job.dated) if job.dated else row))
        self.sizes.append(job.source.size)

    def without(self, indices: set[int]) -> Jobs:
        """The same jobs without a few."""
        rest = Jobs()
        rest._texts = self._texts
        for index, row in enumerate(self._rows):
            if index not in indices:
                rest._rows.append(row)
                rest.sizes.append(self.sizes[index])
        return rest

    def places(self) -> Iterator[tuple[Source, list[tuple[str, str]]]]:
        """Each job's source, and for each target the output and the path below the output folder.

        In half the time of whole jobs.
        """
        texts = self._texts.texts
        for row in self._rows:
            source_row, target_rows, *_ = marshal.loads(row)
            source = self._source(*source_row)
            yield (
                source,
                [
                    (texts[output], source.mirrored if relative is None else relative)
                    for output, _, relative, *_ in target_rows
                ],
            )

    def _unpacked(self, row: bytes) -> Job:
        source_row, target_rows, seq, kept_rows, *dated = marshal.loads(row)
        source = self._source(*source_row)
        texts = self._texts.texts
        targets = tuple(
            Target(
                texts[output],
                texts[root],
                source.mirrored if relative is None else relative,
                replace,
                known and FileState(*known),
                *(*rest, earlier and _earlier(*earlier)),
            )
            for output, root, relative, replace, known, *rest, earlier in target_rows
        )
        kept = tuple(_earlier(*one) for one in kept_rows)
        return Job(source, targets, seq, Dated(*dated) if dated else None, kept)


def _packed(earlier: Earlier | None) -> tuple[Any, ...] | None:
    if earlier is None:
        return None
    return astuple(earlier.written), tuple((one.kind, one.message) for one in earlier.notices)


def _earlier(written: tuple[Any, ...], notices: Iterable[tuple[NoticeKind, str]]) -> Earlier:
    return Earlier(Written(*written), tuple(Notice(*one) for one in notices))


class Skips(_Packed[Result]):
    """Results of sources that need nothing done; `up_to_date` counts those that are finished.

    `known` tells of the outputs of one that is up to date, by their paths below the output folder,
    what is remembered of them: that is asked when a result is, and not kept here. With `strict` one
    whose outputs have warnings has failed.
    """

    def __init__(self, known: Known | None = None, *, strict: bool = False) -> None:
        super().__init__()
        self.up_to_date = 0
        self._known = known
        self._strict = strict
        self._warned: list[int] = []

    def append(
        self, source: Source, reason: str, outputs: Sequence[str] = (), *, warned: bool = False
    ) -> None:
        """Add the result of a source at the end; `warned` says that its outputs have warnings."""
        self.up_to_date += reason == UP_TO_DATE and not (warned and self._strict)
        if warned:
            self._warned.append(len(self._rows))
        # A reason that names files is not shared by any other.
        own = "/" in reason or "\\" in reason
        known = reason if own else self._texts.number(reason)
        mirrored = source.mirrored
        places = [None if one == mirrored else one for one in outputs]
        self._rows.append(marshal.dumps((self._of_source(source), known, places)))

    def fold_into(self, summary: Summary) -> None:
        """Add all of them to a summary, one by one only if their outputs have warnings."""
        summary.skipped += len(self) - len(self._warned)
        summary.up_to_date += self.up_to_date
        for index in self._warned:
            result = self[index]
            summary.add(result)
            # This one is among those counted before.
            summary.up_to_date -= result.status == "skipped"

    def outputs(self) -> Iterator[tuple[Source, list[str]]]:
        """Each source with the paths of those of its outputs that are up to date."""
        for row in self._rows:
            source_row, _, places = marshal.loads(row)
            source = self._source(*source_row)
            yield source, [source.mirrored if one is None else one for one in places]

    def _unpacked(self, row: bytes) -> Result:
        source_row, reason, places = marshal.loads(row)
        source = self._source(*source_row)
        text = reason if isinstance(reason, str) else self._texts.texts[reason]
        if not places or self._known is None:
            return Result(source, "skipped", reason=text or None)
        kept = self._known([source.mirrored if one is None else one for one in places])
        return up_to_date(source, kept, strict=self._strict)
