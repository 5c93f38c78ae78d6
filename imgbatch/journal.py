"""What was made, from what, and how: the memory that makes a second run cheap.

A SQLite database in the folder `.imgbatch` of the output, with one row a target. A run holds it
exclusively from before its plan to its end, so it is also the lock against a second run; the
lock dies with the process. All targets of a run are claimed before it begins (so that after a
power cut what stands there is known to be its), beside what is known of the file that stands
there by then, and become made as the workers' logs tell of them (`runlog`), in the same way while
the run goes, at its end, and after it was killed.

The journal is the only state there is. Without it nothing is lost but time.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from imgbatch import atomic, runlog
from imgbatch.errors import UsageError
from imgbatch.model import FileState, Made

NAME: Final = "journal.sqlite"
COLLECT_SECONDS: Final = 1.0
_APPLICATION: Final = int.from_bytes(b"imgb", "big")
_VERSION: Final = 1
_PAGE_ROWS: Final = 512
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_SCHEMA: Final = f"""
CREATE TABLE output (
    target BLOB PRIMARY KEY,
    source BLOB,
    source_size INTEGER,
    source_mtime_ns INTEGER,
    recipe TEXT,
    size INTEGER,
    mtime_ns INTEGER,
    path BLOB,
    hash BLOB,
    next_source BLOB,
    next_source_size INTEGER,
    next_source_mtime_ns INTEGER,
    next_recipe TEXT
) WITHOUT ROWID;
CREATE TABLE run (word TEXT PRIMARY KEY, begun REAL NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""

_PAGE: Final = "SELECT * FROM output WHERE target >= ? ORDER BY target LIMIT ?"
_CLAIM: Final = """
INSERT INTO output (target, next_source, next_source_size, next_source_mtime_ns, next_recipe)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (target) DO UPDATE SET next_source = excluded.next_source,
    next_source_size = excluded.next_source_size,
    next_source_mtime_ns = excluded.next_source_mtime_ns, next_recipe = excluded.next_recipe
"""
# A job may be logged twice, if its worker died between its first attempt and its result.
_MADE: Final = """
UPDATE output SET size = ?, mtime_ns = ?, path = ?, hash = ?,
    source = coalesce(next_source, source),
    source_size = coalesce(next_source_size, source_size),
    source_mtime_ns = coalesce(next_source_mtime_ns, source_mtime_ns),
    recipe = coalesce(next_recipe, recipe),
    next_source = NULL, next_source_size = NULL, next_source_mtime_ns = NULL, next_recipe = NULL
WHERE target = ?
"""
# What was to be made anew and was not is still what it was.
_GIVE_UP: Final = (
    "DELETE FROM output WHERE size IS NULL",
    """
    UPDATE output SET next_source = NULL, next_source_size = NULL, next_source_mtime_ns = NULL,
        next_recipe = NULL
    WHERE next_recipe IS NOT NULL
    """,
)

Claim = tuple[str, bytes, FileState, str]
"""A target, the absolute path of its source, the state of that, and the recipe's digest."""


class DamagedError(Exception):
    """The journal turned out to be broken while it was read."""


class Journal:
    """The journal of one output folder, and the lock on it.

    `notices` are warnings for a person. Where no journal can be kept (a file system without
    locks, say) it remembers nothing, and says so there.
    """

    def __init__(self, output: str) -> None:
        self.output = output
        self.notices: list[str] = []
        self._folder = os.path.join(output, runlog.FOLDER)
        self._path = os.path.join(self._folder, NAME)
        self._connection: sqlite3.Connection | None = None
        self._usable = True
        self._broken = False
        self._word = ""
        self._page: dict[bytes, tuple[Any, ...]] = {}
        self._page_span: tuple[bytes, bytes | None] = (b"", b"")
        self._page_hits = 0
        self._read_to: dict[str, int] = {}
        self._unmatched: list[runlog.Entry] = []
        self._last_collected = 0.0

    @classmethod
    def open(cls, output: str) -> Journal:
        """Take the lock, where there is a journal, and learn what killed runs had made.

        Raises UsageError if another run has it.
        """
        journal = cls(output)
        if os.path.lexists(journal._path):
            journal._connect()
        if journal._connection is not None:
            for paths in runlog.logs(output).values():
                journal._collect(paths)
            if journal._broken:
                journal._usable = True
                journal.set_aside(journal.notices.pop())
        return journal

    def lookup(self, target: str) -> Made | None:
        """What is known of a target. Fast for targets that come in the order of their names.

        Raises DamagedError.
        """
        if self._connection is None or not self._usable:
            return None
        key = os.fsencode(target)
        low, high = self._page_span
        if key < low or (high is not None and key >= high):
            self._turn_page(key)
        row = self._page.get(key)
        if row is None:
            return None
        self._page_hits += 1
        return tuple.__new__(Made, row[1:])

    def set_aside(self, why: str) -> None:
        """Begin anew, beside a journal that cannot be read."""
        self.close()
        for number in itertools.count(1):
            aside = os.path.join(self._folder, f"set-aside-{number}.sqlite")
            if not os.path.lexists(aside):
                break
        try:
            os.rename(self._path, aside)
        except OSError as error:
            self._do_without(f"{why}, and it cannot be moved away ({error.strerror})")
            return
        for suffix in ("-wal", "-shm"):
            with suppress(OSError):
                os.rename(self._path + suffix, aside + suffix)
        self.notices.append(
            f"the journal {self._path} cannot be read ({why}); it was set aside as {aside}, and "
            "what was made before counts as foreign"
        )

    def begin(self, word: str, claims: Iterable[Claim], elsewhere: Sequence[str] = ()) -> None:
        """Enter everything that the run `word` is going to make, and sweep up after dead runs.

        That is done below the output folder, and the folders `elsewhere`.

        Raises UsageError if the folder cannot be written to, or if another run has it.
        """
        self._word = word
        marker = os.path.join(self._folder, f"{word}-{os.getpid()}.log")
        try:
            os.makedirs(self._folder, exist_ok=True)
            os.close(os.open(marker, os.O_WRONLY | os.O_CREAT, 0o666))
        except OSError as error:
            raise UsageError(
                f"cannot write into the output folder {self.output}: {error.strerror}"
            ) from None
        try:
            # A second time if the first one had to set a journal aside.
            for _ in range(2):
                if self._connection is None and self._usable:
                    self._connect()
        except UsageError:
            os.unlink(marker)
            raise
        self._sweep(elsewhere)
        if self._connection is None or not self._usable:
            return
        with self._transaction() as connection:
            connection.execute("INSERT INTO run VALUES (?, ?)", (word, time.time()))
            connection.executemany(_CLAIM, map(_claimed, claims))
        self._last_collected = time.monotonic()

    def tidy(self, elsewhere: Sequence[str] = ()) -> None:
        """Sweep up after dead runs, if there is a journal at all."""
        self._sweep(elsewhere)

    def collect(self) -> None:
        """Learn from the logs what was made meanwhile, if that is due."""
        if time.monotonic() - self._last_collected >= COLLECT_SECONDS:
            self._collect(runlog.logs(self.output).get(self._word, []))
            self._last_collected = time.monotonic()

    def finish(self) -> None:
        """The run is over, and all its workers are: learn the rest, and give the lock back."""
        logs = runlog.logs(self.output).get(self._word, [])
        self._collect(logs)
        if self._connection is not None and self._usable:
            with self._transaction() as connection:
                for statement in _GIVE_UP:
                    connection.execute(statement)
                connection.execute("DELETE FROM run WHERE word = ?", (self._word,))
        if self._usable:
            # Otherwise the logs are what the next run learns from.
            _remove(logs)
        self.close()

    def close(self) -> None:
        """Give the lock back."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        connection = None
        try:
            # Absolute, because a name that begins with "file:" may be taken for a URI.
            connection = sqlite3.connect(
                os.path.abspath(self._path),
                timeout=0,
                isolation_level=None,
                check_same_thread=False,
            )
            # In this order: with the lock held from the start, the write-ahead log needs no
            # memory shared with others, which network file systems do not have.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN EXCLUSIVE")
            trouble = _prepared(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            code = _code(error)
            if code in _BUSY:
                raise UsageError(
                    f"another run is writing into {self.output}: wait for its end, or use another "
                    "--output"
                ) from None
            if code in _BROKEN or os.path.isdir(self._path):
                self.set_aside(str(error))
            else:
                self._do_without(str(error))
            return
        if trouble:
            connection.close()
            self.set_aside(trouble)
            return
        self._connection = connection

    def _turn_page(self, key: bytes) -> None:
        # Of names that come in order all the rows of a page are used; of others one is.
        rows = 1 + min(2 * self._page_hits, _PAGE_ROWS)
        assert self._connection is not None
        try:
            found = self._connection.execute(_PAGE, (key, rows)).fetchall()
        except sqlite3.Error as error:
            raise DamagedError(str(error)) from error
        self._page = {row[0]: row for row in found}
        self._page_hits = 0
        # Behind its last row nothing is known, unless there was no other.
        self._page_span = (key, found[-1][0] + b"\0" if len(found) == rows else None)

    def _collect(self, logs: Iterable[str]) -> None:
        """Enter whatever logs tell that really stands where it should."""
        if self._connection is None or not self._usable:
            return
        with self._transaction() as connection:
            waiting, self._unmatched = self._unmatched, []
            connection.executemany(_MADE, self._matched(waiting))
            for log in logs:
                while True:
                    entries, end = runlog.read(log, self._read_to.get(log, 0))
                    if end == self._read_to.get(log, 0):
                        break
                    self._read_to[log] = end
                    connection.executemany(_MADE, self._matched(entries))

    def _matched(self, entries: Iterable[runlog.Entry]) -> Iterator[tuple[Any, ...]]:
        for entry in entries:
            real = os.path.join(self.output, entry.path or entry.target)
            if atomic.state(real) != entry.made:
                # Not published yet, or never.
                self._unmatched.append(entry)
                continue
            path = None if entry.path is None else os.fsencode(entry.path)
            yield (*entry.made, path, entry.hash, os.fsencode(entry.target))

    def _sweep(self, elsewhere: Sequence[str]) -> None:
        """Remove what dead runs left: with the lock, nobody else is at work here."""
        if self._connection is None:
            # Without the lock nobody is known to be dead.
            return
        logs = runlog.logs(self.output)
        logs.pop(self._word, None)
        dead = set(logs)
        if self._usable:
            with self._transaction() as connection:
                dead.update(word for (word,) in connection.execute("SELECT word FROM run"))
                connection.execute("DELETE FROM run")
        if dead:
            atomic.sweep([self.output, *elsewhere], dead)
        for paths in logs.values():
            _remove(paths)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. A disk that is full, say, ends the journal and not the run."""
        connection = self._connection
        assert connection is not None
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            self._broken = _code(error) in _BROKEN
            self._do_without(str(error))

    def _do_without(self, why: str) -> None:
        """Remember no more. The connection stays where there is one: it is the lock."""
        self._usable = False
        self.notices.append(
            f"no journal is kept in {self.output} ({why}): the next run may not know what this "
            "one made"
        )


def _prepared(connection: sqlite3.Connection) -> str | None:
    """Make the tables of a new database; what is wrong with one that is not ours."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) == (_APPLICATION, _VERSION):
        connection.execute("SELECT * FROM output LIMIT 1").fetchone()
        return None
    if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        return "it is no journal of this version of imgbatch"
    for statement in filter(None, map(str.strip, _SCHEMA.split(";"))):
        connection.execute(statement)
    return None


def _code(error: sqlite3.Error) -> int:
    """The primary error code, without SQLite's refinements."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _claimed(claim: Claim) -> tuple[Any, ...]:
    target, source, state, recipe = claim
    return (os.fsencode(target), source, *state, recipe)


def _remove(paths: Iterable[str]) -> None:
    for path in paths:
        with suppress(OSError):
            os.unlink(path)
