"""Which files below a folder were made by imgbatch, and from what: its journal, only read.

The run that owns a journal locks it, so a journal that is in use cannot be read. Any folder may
have one, also one that somebody has prepared: nothing in it is believed without a check, and
reading it takes a limited time.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from imgbatch.model import Made
from imgbatch.store import worker_log
from imgbatch.store.journal import APPLICATION, BUSY, NAME, code_of, planted

IN_PLACE_MARK: Final = os.path.join(worker_log.FOLDER, "in-place")
"""A file in every folder in which pictures were changed in place."""

SHARED_MARK: Final = os.path.join(worker_log.FOLDER, "shared")
"""A file in every folder that was not made for outputs, but got some: others may be originals."""

# In place, and in journals that are not ours, columns may hold anything.
_FROM: Final = "COALESCE(next_source, source)"
_SOUND: Final = f"typeof(target) = 'blob' AND typeof({_FROM}) = 'blob'"
_IS_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE name = 'output' AND type = 'table'"
_SOURCE_OF: Final = f"SELECT {_FROM} FROM output WHERE target = ? AND {_SOUND}"
_OTHER_NAMES: Final = (
    f"SELECT path, {_FROM} FROM output WHERE typeof(path) = 'blob' AND {_SOUND} LIMIT 200000"
)
# The first bytes of a BLOB: LIKE and GLOB have wildcards and want text.
_FROM_BELOW: Final = f"SELECT 1 FROM output WHERE substr({_FROM}, 1, ?) = ? AND {_SOUND} LIMIT 1"
_SOME: Final = f"""
SELECT CASE WHEN typeof(path) = 'blob' THEN path ELSE target END, {_FROM} FROM output
WHERE {_SOUND} ORDER BY target LIMIT ?
"""
_COLUMNS: Final = "SELECT name FROM pragma_table_info('output')"
_ROW: Final = f"SELECT * FROM output WHERE target = ? AND {_SOUND}"
_SECONDS: Final = 5.0
"""For one question: a million rows take less than one."""
_STEPS: Final = 100_000


class UnreadableError(Exception):
    """There is a journal, but it is damaged or, if `in_use`, locked by a run."""

    def __init__(self, message: str, *, in_use: bool = False) -> None:
        super().__init__(message)
        self.in_use = in_use


class Recorded:
    """What the journal of an output folder records.

    `connection` is a database that is open already; otherwise it is opened when it is asked, and
    may be closed in between. `in_place` says that pictures in the folder were changed in place,
    `shared` that the folder was not made for outputs.
    """

    def __init__(self, folder: str, connection: sqlite3.Connection | None = None) -> None:
        """Raises UnreadableError."""
        self.in_place = os.path.exists(os.path.join(folder, IN_PLACE_MARK))
        self.shared = os.path.exists(os.path.join(folder, SHARED_MARK))
        self._path = os.path.join(folder, worker_log.FOLDER, NAME)
        self._connection = connection
        self._owned = connection is None
        self._columns: list[str] = []
        self._trouble: UnreadableError | None = None
        if not self._rows(_IS_TABLE, ()):
            self.close()
            raise UnreadableError("it has no table of outputs")
        # Outputs whose suffix differs from their target's. There are few.
        self._others: dict[bytes, bytes] = dict(self._rows(_OTHER_NAMES, ()))

    @classmethod
    def of(cls, folder: str) -> Recorded | None:
        """What the journal of `folder` records; None if it has no journal.

        Raises UnreadableError.
        """
        return (
            cls(folder) if os.path.isfile(os.path.join(folder, worker_log.FOLDER, NAME)) else None
        )

    def source_of(self, relative: str) -> bytes | None:
        """The absolute path of what the file at `relative` was made from; None if it was not.

        Raises UnreadableError.
        """
        key = os.fsencode(relative)
        rows = self._rows(_SOURCE_OF, (key,))
        found: bytes | None = rows[0][0] if rows else self._others.get(key)
        return found

    def made(self, target: str) -> Made | None:
        """All that is recorded of a target, in a journal of whatever version.

        Raises UnreadableError.
        """
        rows = self._rows(_ROW, (os.fsencode(target),))
        if not rows:
            return None
        if not self._columns:
            self._columns = [name for (name,) in self._rows(_COLUMNS, ())]
        row = dict(zip(self._columns, rows[0], strict=True))
        return Made(*(row.get(name) for name in Made._fields))

    def is_from_below(self, folder: str) -> bool:
        """Whether anything was made from files below `folder`, an absolute path.

        Raises UnreadableError.
        """
        start = os.fsencode(os.path.join(folder, ""))
        return bool(self._rows(_FROM_BELOW, (len(start), start)))

    def some(self, number: int) -> list[tuple[str, bytes]]:
        """The first `number` files, relative to the folder, each with its source's absolute path.

        Raises UnreadableError.
        """
        return [(os.fsdecode(target), source) for target, source in self._rows(_SOME, (number,))]

    def close(self) -> None:
        """Let go of the journal, until the next question."""
        if self._owned and self._connection is not None:
            self._connection.close()
            self._connection = None

    def _rows(self, question: str, values: Sequence[Any]) -> list[Any]:
        if self._trouble is not None:
            raise self._trouble
        end = time.monotonic() + _SECONDS
        try:
            if self._connection is None:
                self._connection = self._opened()
            connection = self._connection
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
            try:
                return connection.execute(question, values).fetchall()
            finally:
                connection.set_progress_handler(None, 0)
        except sqlite3.Error as error:
            self.close()
            self._trouble = UnreadableError(str(error), in_use=code_of(error) in BUSY)
            raise self._trouble from error

    def _opened(self) -> sqlite3.Connection:
        path = self._path
        if os.path.islink(os.path.dirname(path)) or planted(path):
            raise UnreadableError("it is a link")
        # What was not merged into the database yet can only be read with SQLite's own locks.
        mode = "mode=ro" if os.path.exists(f"{path}-wal") else "mode=ro&immutable=1"
        uri = f"{Path(os.path.abspath(path)).as_uri()}?{mode}"
        connection = sqlite3.connect(uri, timeout=0, uri=True)
        try:
            if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION,):
                raise UnreadableError("it is not a journal of imgbatch")
        except BaseException:
            connection.close()
            raise
        return connection


class InnerJournals:
    """What runs over parts of a folder have made there, by their journals in its subfolders.

    Close them after use.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._found: dict[str, Recorded | None] = {}
        self._asked: Recorded | None = None

    def lookup(self, target: str) -> Made | None:
        """What is known about a target below the folder; None if no journal tells."""
        names = target.split("/")
        for count in range(len(names) - 1, 0, -1):
            inner, rest = "/".join(names[:count]), "/".join(names[count:])
            with suppress(UnreadableError):
                recorded = self._journal(inner)
                made = recorded.made(rest) if recorded is not None else None
                if made is not None:
                    path = made.path and os.fsencode(f"{inner}/") + made.path
                    return made._replace(path=path)
        return None

    def close(self) -> None:
        """Let go of the journals."""
        if self._asked is not None:
            self._asked.close()
            self._asked = None

    def _journal(self, inner: str) -> Recorded | None:
        """The journal of a subfolder, unless pictures were changed in place there."""
        if inner not in self._found:
            self._found[inner] = None
            found = Recorded.of(os.path.join(self._folder, *inner.split("/")))
            if found is not None:
                found.close()
                self._found[inner] = None if found.in_place else found
        found = self._found[inner]
        if found is not None and found is not self._asked:
            # Only one is open at a time.
            self.close()
            self._asked = found
        return found
