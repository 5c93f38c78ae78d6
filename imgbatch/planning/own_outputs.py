"""Which files of a scan are outputs of earlier runs, and so no originals.

A journal tells of each output what it was made from. One whose original is scanned as well is left
out: it would be made again, from itself. So is a whole subfolder in which only outputs of files
elsewhere are recorded. What is named itself is taken: nobody names a folder of outputs by accident.
Files that were changed in place are their own originals.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct

from imgbatch.store.recorded import Recorded, UnreadableError

_SAMPLE: Final = 100
"""How many outputs are looked at to find out whether a folder was moved with its originals."""


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
        self._roots = tuple(os.fsencode(os.path.join(os.path.abspath(root), "")) for root in roots)
        self._files = {os.fsencode(os.path.abspath(file)) for file in files}
        self._own = own
        self._opened: list[Recorded] = []
        self._above: dict[str, list[Ledger]] = {}

    def above(self, folder: str) -> list[Ledger]:
        """The journals of a folder and of those above it."""
        own = os.path.abspath(folder)
        if (known := self._above.get(own)) is not None:
            return known
        found = self._above[own] = []
        above, below = own, ""
        while True:
            # One that cannot be read cannot tell: what it may know is taken.
            with suppress(UnreadableError):
                if (recorded := self._open(above)) is not None:
                    found.append(Ledger(recorded, above, below))
            parent, name = os.path.split(above)
            if parent == above:
                return found
            above, below = parent, f"{name}/{below}"

    def within(self, path: str, below: str) -> list[Ledger] | None:
        """The journal of the subfolder `path`, which is at `below` in the scanned folder, if any.

        None if it records only outputs of files elsewhere. Raises UnreadableError.
        """
        folder = os.path.abspath(path)
        recorded = self._open(folder)
        if recorded is None or not (some := recorded.some(_SAMPLE)):
            return []
        mixed = recorded.is_from_below(folder) or any(
            _is_itself(source, folder, target) or _moved(source, folder, target)
            for target, source in some
        )
        return [Ledger(recorded, folder, cut=len(below) + 1, strict=True)] if mixed else None

    def include(self, relative: str, ledgers: Iterable[Ledger]) -> bool:
        """Whether the file at `relative`, below a scanned folder, is an output."""
        for ledger in ledgers:
            target = ledger.prefix + relative[ledger.cut :]
            try:
                source = ledger.recorded.source_of(target)
            except UnreadableError:
                continue
            if source is None or _is_itself(source, ledger.folder, target):
                continue
            if ledger.strict or self._is_scanned(source):
                return True
            moved = _moved(source, ledger.folder, target)
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

    def _is_scanned(self, source: bytes) -> bool:
        return source.startswith(self._roots) or source in self._files

    def _open(self, folder: str) -> Recorded | None:
        """What a folder's journal records. Raises UnreadableError."""
        if self._own is not None and _is_same(self._own[0], folder):
            return self._own[1]
        found = Recorded.of(folder)
        if found is not None:
            self._opened.append(found)
        return found


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _is_itself(source: bytes, folder: str, target: str) -> bool:
    """Whether a file was changed in place; if so, its folder may have been moved since."""
    path = os.fsencode(os.path.join(folder, target))
    if source == path:
        return True
    end = os.fsencode(os.path.join(os.sep, os.path.basename(folder), target))
    return source.endswith(end) and not os.path.lexists(source)


def _moved(source: bytes, folder: str, target: str) -> bytes | None:
    """Where the source of an output is, if `folder` was moved together with both.

    That is where the end of its former path leads to a file below the folder, other than the output
    itself.
    """
    if os.path.lexists(source):
        return None
    names = source.split(os.fsencode(os.sep))
    output = os.path.join(os.fsencode(folder), os.fsencode(target))
    for start in range(1, len(names)):
        path = os.path.join(os.fsencode(folder), *names[start:])
        if path != output and os.path.isfile(path):
            return path
    return None
