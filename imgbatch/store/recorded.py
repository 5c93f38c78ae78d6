"""Which files below a folder were made by imgbatch, and from what: its journal, only read.

The run that owns a journal locks it, so a journal that is in use cannot be read.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from imgbatch.store import worker_log
from imgbatch.store.journal import APPLICATION, NAME, planted

_FROM: Final = "COALESCE(next_source, source)"
_SOURCE_OF: Final = f"SELECT {_FROM} FROM output WHERE target = ?"
_OTHER_NAMES: Final = f"SELECT path, {_FROM} FROM output WHERE path IS NOT NULL"
# The first bytes of a BLOB: LIKE and GLOB have wildcards and want text.
_FROM_BELOW: Final = f"SELECT 1 FROM output WHERE substr({_FROM}, 1, ?) = ? LIMIT 1"
_SOME: Final = f"SELECT COALESCE(path, target), {_FROM} FROM output ORDER BY target LIMIT ?"


class UnreadableError(Exception):
    """There is a journal, but it is in use or damaged."""


class Recorded:
    """What the journal of an output folder records."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Raises UnreadableError."""
        self._connection = connection
        try:
            # Outputs whose suffix differs from their target's. There are few.
            self._others: dict[bytes, bytes] = dict(connection.execute(_OTHER_NAMES))
        except sqlite3.Error as error:
            raise UnreadableError(str(error)) from error

    @classmethod
    def of(cls, folder: str) -> Recorded | None:
        """What the journal of `folder` records; None if it has no journal.

        Raises UnreadableError.
        """
        path = os.path.join(folder, worker_log.FOLDER, NAME)
        if not os.path.isfile(path):
            return None
        if os.path.islink(os.path.dirname(path)) or planted(path):
            raise UnreadableError("it is a link")
        # What was not merged into the database yet can only be read with SQLite's own locks.
        mode = "mode=ro" if os.path.exists(f"{path}-wal") else "mode=ro&immutable=1"
        connection = None
        try:
            uri = f"{Path(os.path.abspath(path)).as_uri()}?{mode}"
            connection = sqlite3.connect(uri, timeout=0, uri=True)
            if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION,):
                raise UnreadableError("it is not a journal of imgbatch")
            return cls(connection)
        except (sqlite3.Error, UnreadableError) as error:
            if connection is not None:
                connection.close()
            raise UnreadableError(str(error)) from error

    def source_of(self, relative: str) -> bytes | None:
        """The absolute path of what the file at `relative` was made from; None if it was not.

        Raises UnreadableError.
        """
        key = os.fsencode(relative)
        try:
            row = self._connection.execute(_SOURCE_OF, (key,)).fetchone()
        except sqlite3.Error as error:
            raise UnreadableError(str(error)) from error
        found: bytes | None = row[0] if row else self._others.get(key)
        return found

    def is_from_below(self, folder: str) -> bool:
        """Whether anything was made from files below `folder`, an absolute path.

        Raises UnreadableError.
        """
        start = os.fsencode(os.path.join(folder, ""))
        try:
            found = self._connection.execute(_FROM_BELOW, (len(start), start))
            return found.fetchone() is not None
        except sqlite3.Error as error:
            raise UnreadableError(str(error)) from error

    def some(self, number: int) -> list[tuple[str, bytes]]:
        """The first `number` files, relative to the folder, each with its source's absolute path.

        Raises UnreadableError.
        """
        try:
            rows = self._connection.execute(_SOME, (number,)).fetchall()
        except sqlite3.Error as error:
            raise UnreadableError(str(error)) from error
        return [(os.fsdecode(target), source) for target, source in rows]

    def close(self) -> None:
        """Let go of the journal."""
        self._connection.close()
