"""Which files of a scan are outputs of earlier runs, and so no originals.

A journal tells of each output what it was made from. One whose original is scanned as well is left
out: it would be made again, from itself. So is a whole subfolder in which only outputs of files
elsewhere are recorded, unless it is one that was not made for outputs. What is named itself is
taken: nobody names a folder of outputs by accident. Files that were changed in place are their own
originals.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from imgbatch.planning.ownership import is_named_alike
from imgbatch.store.journal import LockedError
from imgbatch.store.recorded import SHARED_MARK, Recorded, UnreadableError

_SAMPLE: Final = 100
"""How many outputs are looked at to find out whether a folder was moved with its originals."""

_OPEN: Final = 16
"""Journals that are open at the same time: some systems allow 256 files."""

_LEVELS: Final = 32
_TRIES: Final = 3
"""How many missing originals of one folder are looked for."""


class Ledger(Struct, frozen=True):
    """A journal, as seen from a scanned folder.

    `folder` is its absolute path. A path below the scanned folder becomes one below `folder` if its
    first `cut` characters are omitted and `prefix` is put before it. With `strict` an output is one
    even if its original is not scanned.
    """

    recorded: Recorded
    folder: str
    prefix: str = ""
    cut: int = 0
    strict: bool = False


class OwnOutputs:
    """Tells outputs from originals among everything below `roots` and the `files` named one by one.

    `own` is the journal of the run itself, with its folder: nobody else can read that. Close it
    after use.
    """

    def __init__(
        self,
        roots: Sequence[str],
        files: Iterable[str],
        own: tuple[str, Recorded] | None = None,
    ) -> None:
        self._roots = tuple(
            os.path.normcase(os.path.join(one, ""))
            for root in roots
            for one in {os.path.abspath(root), os.path.realpath(root)}
        )
        self._files = {one for file in files for one in _both(file)}
        self._own = own
        self._journals: dict[str, Recorded | None] = {}
        self._opened: dict[Recorded, None] = {}
        self._above: dict[str, list[Ledger]] = {}
        self._moves = _Moves()

    def above(self, folder: str, *, walked: bool = False) -> list[Ledger]:
        """The journals of a folder and of those above it.

        Raises LockedError if the folder is `walked` and another run is at work beside originals
        there, or above: it knows which files are its outputs.
        """
        own = os.path.abspath(folder)
        if (known := self._above.get(own)) is not None:
            return known
        found = self._above[own] = []
        above, below = own, ""
        while True:
            try:
                if (recorded := self._journal(above)) is not None:
                    found.append(Ledger(recorded, above, below))
            except UnreadableError as error:
                # One that cannot be read cannot tell: what it may know is taken.
                if walked:
                    check_is_idle(above, error)
            parent, name = os.path.split(above)
            if parent == above:
                return found
            above, below = parent, f"{name}/{below}"

    def within(self, path: str, below: str) -> list[Ledger] | None:
        """The journal of the subfolder `path`, which is at `below` in the scanned folder, if any.

        None if it records only outputs of files elsewhere. Raises UnreadableError.
        """
        folder = os.path.abspath(path)
        recorded = self._journal(folder)
        if recorded is None or not (some := recorded.some(_SAMPLE)):
            return []
        ledger = Ledger(recorded, folder, cut=len(below) + 1, strict=True)
        mixed = (
            recorded.shared
            or recorded.is_from_below(folder)
            or any(
                _is_itself(source, ledger, target) or self._moves.original(source, folder, target)
                for target, source in some
            )
        )
        return [ledger] if mixed else None

    def include(self, relative: str, ledgers: Iterable[Ledger]) -> bool:
        """Whether the file at `relative`, below a scanned folder, is an output."""
        for ledger in ledgers:
            target = ledger.prefix + relative[ledger.cut :]
            self._use(ledger.recorded)
            try:
                source = ledger.recorded.source_of(target)
            except UnreadableError:
                continue
            if source is None or _is_itself(source, ledger, target):
                continue
            if ledger.strict or self._is_scanned(os.fsdecode(source)):
                return True
            moved = self._moves.original(source, ledger.folder, target)
            if moved is not None and self._is_scanned(moved):
                return True
        return False

    def include_named(self, path: str) -> bool:
        """The same for a file named by itself."""
        folder, name = os.path.split(path)
        return self.include(name, self.above(folder))

    def close(self) -> None:
        """Let go of the journals."""
        for recorded in self._opened:
            recorded.close()
        self._opened.clear()

    def _is_scanned(self, source: str) -> bool:
        return any(one.startswith(self._roots) or one in self._files for one in _both(source))

    def _journal(self, folder: str) -> Recorded | None:
        """What a folder's journal records. Raises UnreadableError."""
        if folder not in self._journals:
            own = self._own
            is_own = own is not None and _is_same(own[0] or os.curdir, folder)
            self._journals[folder] = own[1] if own and is_own else Recorded.of(folder)
        found = self._journals[folder]
        if found is not None:
            self._use(found)
        return found

    def _use(self, recorded: Recorded) -> None:
        """Close the journal that was not used for the longest time, if too many are open."""
        self._opened.pop(recorded, None)
        self._opened[recorded] = None
        if len(self._opened) > _OPEN:
            oldest = next(iter(self._opened))
            del self._opened[oldest]
            oldest.close()


def check_is_idle(folder: str, error: UnreadableError) -> None:
    """Raise LockedError if a journal cannot be read because a run writes beside originals."""
    mark = os.path.join(folder, SHARED_MARK)
    if error.in_use and os.path.exists(mark):
        raise LockedError(
            os.path.dirname(mark),
            f"another run is writing into {folder}, so its outputs cannot be told from originals",
            "wait until it has finished (--wait 10m does)",
        ) from None


class _Moves:
    """Finds originals that were moved together with their outputs."""

    def __init__(self) -> None:
        # By the folder of an original and that of a journal: the levels that were cut off, and how
        # often nothing was found.
        self._cuts: dict[tuple[bytes, str], int] = {}
        self._failures: dict[tuple[bytes, str], int] = {}

    def original(self, source: bytes, folder: str, target: str) -> str | None:
        """Where the source of an output is, if `folder` was moved together with both.

        That is where the end of its former path leads to a file below the folder, other than the
        output itself.
        """
        if os.path.lexists(source):
            return None
        place = os.path.dirname(source), folder
        names = os.fsdecode(source).split(os.sep)[-_LEVELS:]
        known = self._cuts.get(place)
        if known is None and self._failures.get(place, 0) >= _TRIES:
            return None
        output = _joined(folder, target)
        for start in range(len(names)) if known is None else (known,):
            path = os.path.join(folder, *names[start:])
            if path != output and os.path.isfile(path):
                self._cuts[place] = start
                return path
        self._failures[place] = self._failures.get(place, 0) + 1
        return None


def _is_itself(source: bytes, ledger: Ledger, target: str) -> bool:
    """Whether a file was changed in place; its folder may have been moved since."""
    if ledger.recorded.in_place:
        return is_named_alike(source, target)
    return source == os.fsencode(_joined(ledger.folder, target))


def _joined(folder: str, relative: str) -> str:
    return os.path.join(folder, *relative.split("/"))


def _both(path: str) -> tuple[str, str]:
    """A path as it is named, and as it is without links; in one case where that does not count."""
    whole = os.path.abspath(path)
    folder, name = os.path.split(whole)
    return os.path.normcase(whole), os.path.normcase(os.path.join(_real(folder), name))


@lru_cache(maxsize=1000)
def _real(folder: str) -> str:
    try:
        return os.path.realpath(folder)
    except ValueError:
        # It is no name at all, which its row will say.
        return folder


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
