"""What was made, from what, and how: the memory that makes a second run cheap.

A SQLite database in the folder `.imgbatch` of the output, with one row per target. A run holds it
exclusively from before its plan to its end, so it is also the lock against a second run; the
lock dies with the process. All targets of a run are claimed before it begins, next to what is
known about the files there, so that after a power cut those are known to be its own. Claims turn
into results as the workers' logs tell of them (`worker_log`): in the same way while the run goes,
at its end, and after it was killed.

The journal is the only state there is. Without it nothing is lost but time.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from imgbatch.errors import UsageError
from imgbatch.model import Made
from imgbatch.plurals import counted
from imgbatch.store import about, local_files, worker_log
from imgbatch.store.worker_log import Claim, Entry

NAME: Final = "journal.sqlite"
_COMPANIONS: Final = ("-wal", "-shm", "-journal")
COLLECT_SECONDS: Final = 1.0
APPLICATION: Final = int.from_bytes(b"imgb", "big")
"""The application id in the header of a journal."""
_VERSION: Final = 2
# Checking whether a journal is locked takes its lock for a moment: that is not a run.
_PROBE_SECONDS: Final = 0.2
_PAGE_ROWS: Final = 512
BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

# Added since version 1. Older rows have NULL there.
_ADDED: Final = (
    "source_ctime_ns INTEGER",
    "source_inode INTEGER",
    "source_hash BLOB",
    "ctime_ns INTEGER",
    "inode INTEGER",
    "next_source_ctime_ns INTEGER",
    "next_source_inode INTEGER",
    # Version 2 had none of these. It is still the number, because programs that know no more than
    # version 2 read and write such a journal as well: a higher one, and they would set it aside.
    "about TEXT",
    "warnings TEXT",
)
_COLUMNS: Final = tuple(column.partition(" ")[0] for column in _ADDED)
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
    next_recipe TEXT,
    {", ".join(_ADDED)}
) WITHOUT ROWID;
CREATE TABLE run (word TEXT PRIMARY KEY, begun REAL NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {_VERSION};
"""

_ALL: Final = f"SELECT target, {', '.join(Made._fields)} FROM output"
_PAGE: Final = f"{_ALL} WHERE target >= ? ORDER BY target LIMIT ?"
_CLAIM: Final = """
INSERT INTO output (target, next_source, next_source_size, next_source_mtime_ns,
    next_source_ctime_ns, next_source_inode, next_recipe)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (target) DO UPDATE SET next_source = excluded.next_source,
    next_source_size = excluded.next_source_size,
    next_source_mtime_ns = excluded.next_source_mtime_ns,
    next_source_ctime_ns = excluded.next_source_ctime_ns,
    next_source_inode = excluded.next_source_inode, next_recipe = excluded.next_recipe
"""
_NO_CLAIM: Final = """
    next_source = NULL, next_source_size = NULL, next_source_mtime_ns = NULL,
    next_source_ctime_ns = NULL, next_source_inode = NULL, next_recipe = NULL
"""
# A job may be logged twice, if its worker died between its first attempt and its result.
_AS_CLAIMED: Final = ", ".join(
    f"{column} = CASE WHEN next_recipe IS NULL THEN {column} ELSE next_{column} END"
    for column in (
        *("source", "source_size", "source_mtime_ns", "source_ctime_ns", "source_inode"),
        "recipe",
    )
)
_MADE: Final = f"""
UPDATE output SET size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?, path = ?, hash = ?,
    source_hash = ?, about = ?, warnings = ?, {_AS_CLAIMED}, {_NO_CLAIM}
WHERE target = ?
"""
# A kept file is unchanged; only its source was touched. In place the two are one file.
_KEPT: Final = f"UPDATE output SET {_AS_CLAIMED}, {_NO_CLAIM} WHERE target = ?"
_KEPT_IN_PLACE: Final = """
UPDATE output SET size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?, hash = ? WHERE target = ?
"""
# Files that were to be remade but were not are still what they were.
_GIVE_UP: Final = (
    "DELETE FROM output WHERE size IS NULL",
    f"UPDATE output SET {_NO_CLAIM} WHERE next_recipe IS NOT NULL",
)


class DamagedError(Exception):
    """The journal turned out to be damaged while it was read."""


class LockedError(UsageError):
    """Another run holds the journal in a `folder`; `found` says which one, `remedy` what to do."""

    def __init__(self, folder: str, found: str, remedy: str) -> None:
        super().__init__(f"{found}: {remedy}")
        self.folder = folder
        self.found = found


class Journal:
    """The journal of one output folder, and the lock on it.

    `notices` are warnings for the user. Where no journal can be kept (on a file system without
    locks, for instance) it remembers nothing, and says so there.
    """

    def __init__(self, output: str) -> None:
        self.output = output
        self._shown = output or os.curdir
        self.notices: list[str] = []
        self._folder = os.path.join(output, worker_log.FOLDER)
        self._path = os.path.join(self._folder, NAME)
        self._connection: sqlite3.Connection | None = None
        self._usable = True
        self._broken = False
        self._word = ""
        self._page: dict[bytes, tuple[Any, ...]] = {}
        self._page_span: tuple[bytes, bytes | None] = (b"", b"")
        self._page_hits = 0
        self._read_to: dict[str, int] = {}
        self._unmatched: list[Entry] = []
        self._rejected = 0
        self._last_collected = 0.0

    @classmethod
    def open(cls, output: str) -> Journal:
        """Take the lock, where there is a journal, and learn what killed runs had made.

        Raises UsageError if another run holds it, or if something in its place is not imgbatch's.
        """
        journal = cls(output)
        _check_folder(journal._folder)
        try:
            logs = worker_log.logs(output)
            # Logs without a journal mean that the journal could not be written.
            if logs or os.path.lexists(journal._path):
                journal._connect()
            if journal._connection is not None:
                for paths in logs.values():
                    journal._enter([claim for path in paths for claim in worker_log.claims(path)])
                    journal._collect(paths)
        except OSError as error:
            journal.close()
            raise UsageError(
                f"cannot read {error.filename}, which records what earlier runs made: "
                f"{error.strerror}"
            ) from None
        if journal._connection is not None:
            if journal._rejected:
                one = journal._rejected == 1
                journal.notices.append(
                    f"{counted(journal._rejected, 'line')} of the logs in {journal._folder} "
                    f"{'is' if one else 'are'} damaged, or not imgbatch's, and "
                    f"{'was' if one else 'were'} ignored"
                )
            if journal._broken:
                journal._usable = True
                journal.set_aside(journal.notices.pop())
        return journal

    def lookup(self, target: str) -> Made | None:
        """What is known about a target. Fast for targets in the order of their names.

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

    def count(self) -> int:
        """How many targets are known. Raises DamagedError."""
        return sum(number for (number,) in self._rows("SELECT count(*) FROM output"))

    def all(self) -> Iterator[tuple[str, Made]]:
        """All targets and what is known about them. Raises DamagedError."""
        for target, *made in self._rows(_ALL):
            # In journals that somebody has edited there may be anything.
            if isinstance(target, bytes):
                yield os.fsdecode(target), Made(*made)

    def _rows(self, question: str) -> Iterator[tuple[Any, ...]]:
        if self._connection is None or not self._usable:
            return
        try:
            yield from self._connection.execute(question)
        except sqlite3.Error as error:
            raise DamagedError(str(error)) from error

    def forget(self, targets: Iterable[str]) -> None:
        """Forget targets whose files were removed."""
        if self._connection is not None and self._usable:
            names = [(os.fsencode(target),) for target in targets]
            with self._transaction() as connection:
                connection.executemany("DELETE FROM output WHERE target = ?", names)

    @property
    def connection(self) -> sqlite3.Connection | None:
        """The database, which only this object can read; None if there is none yet."""
        return self._connection if self._usable else None

    def set_aside(self, why: str) -> None:
        """Move a journal that cannot be read aside, and start a new one."""
        self.close()
        for number in itertools.count(1):
            aside = os.path.join(self._folder, f"set-aside-{number}.sqlite")
            if not os.path.lexists(aside):
                break
        # The journal last: without it nobody looks at the others.
        for suffix in (*_COMPANIONS, ""):
            try:
                os.rename(self._path + suffix, aside + suffix)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._stop_remembering(f"{why}, and it cannot be moved away ({error.strerror})")
                return
        self.notices.append(
            f"the journal {self._path} cannot be read ({why}); it was set aside as {aside}, and "
            "earlier results count as foreign files"
        )

    def begin(
        self,
        word: str,
        claims: Iterable[Claim],
        elsewhere: Sequence[str] = (),
        *,
        in_place: bool = False,
    ) -> None:
        """Claim everything that the run `word` is going to make, and clean up after dead runs.

        `claims` may be iterated twice. The cleaning is done below the output folder and the folders
        `elsewhere`. A run `in_place` works on the folder and everything below, so no other run may
        be active there, or in a folder above.

        Raises UsageError if the folder cannot be written to, or if another run holds it.
        """
        self._word = word
        marker = self._mark(durable=in_place)
        try:
            self._lock(in_place=in_place)
        except UsageError:
            # Another run that is starting may have cleaned it away.
            with suppress(OSError):
                os.unlink(marker)
            raise
        self._sweep(elsewhere)
        if self._connection is not None and self._usable:
            with self._transaction() as connection:
                connection.execute("INSERT INTO run VALUES (?, ?)", (word, time.time()))
            self._enter(claims)
        if self._connection is None or not self._usable:
            # For the next run, which may be able to write a journal.
            try:
                worker_log.write_claims(self.output, word, claims)
            except OSError as error:
                with suppress(OSError):
                    os.unlink(marker)
                raise self._unwritable(error) from None
        self._last_collected = time.monotonic()

    def _mark(self, *, durable: bool) -> str:
        """Leave a log that says that this run is under way; return its path."""
        marker = os.path.join(self._folder, f"{self._word}-{os.getpid()}.log")
        try:
            local_files.make_folders(self._folder, durable=durable)
            os.close(os.open(marker, os.O_WRONLY | os.O_CREAT, 0o666))
        except OSError as error:
            raise self._unwritable(error) from None
        return marker

    def _lock(self, *, in_place: bool) -> None:
        """Hold the journal for this run alone; raise UsageError if another run has it."""
        # Twice if the first attempt had to set a journal aside.
        for _ in range(2):
            if self._connection is None and self._usable:
                self._connect()
        # With our own lock held: of two that start at once, at least one sees the other.
        if in_place and (other := _at_work_around(self.output)) is not None:
            raise LockedError(
                os.path.join(other, worker_log.FOLDER),
                f"another run{_process(other)} is active in {other}, and this one would change the "
                "same files in place",
                "wait until it has finished (--wait 10m does)",
            )

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(f"cannot write into the output folder {self._shown}: {error.strerror}")

    def _enter(self, claims: Iterable[Claim]) -> None:
        if self._connection is not None and self._usable:
            with self._transaction() as connection:
                connection.executemany(_CLAIM, map(_claimed, claims))

    def tidy(self, elsewhere: Sequence[str] = ()) -> None:
        """Clean up after dead runs, if there is a journal at all."""
        self._sweep(elsewhere)

    def collect(self) -> None:
        """Learn from the logs what has been made meanwhile, if that is due."""
        if time.monotonic() - self._last_collected >= COLLECT_SECONDS:
            self._learn()
            self._last_collected = time.monotonic()

    def finish(self, *, swept: bool = True) -> None:
        """End the run, whose workers have ended: learn the rest, and release the lock.

        If its temporary files could not all be `swept`, that is left to the next run.
        """
        logs = self._learn()
        if self._connection is not None and self._usable:
            with self._transaction() as connection:
                for statement in _GIVE_UP:
                    connection.execute(statement)
                if swept:
                    connection.execute("DELETE FROM run WHERE word = ?", (self._word,))
        if self._usable and swept:
            # Otherwise the next run learns from the logs.
            _remove(logs)
        self.close()

    def _learn(self) -> list[str]:
        """Record what this run's logs say. Return them."""
        logs: list[str] = []
        try:
            logs = worker_log.logs(self.output).get(self._word, [])
            self._collect(logs)
        except OSError as error:
            if self._usable:
                self._stop_remembering(f"{error.filename}: {error.strerror}")
        return logs

    def close(self) -> None:
        """Release the lock."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        if (trouble := planted(self._path)) is not None:
            self.set_aside(trouble)
            return
        connection = None
        try:
            # Absolute, because a name that begins with "file:" may be taken for a URI.
            connection = sqlite3.connect(
                os.path.abspath(self._path),
                timeout=_PROBE_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            # In this order: with the lock held from the start, the write-ahead log needs no shared
            # memory, which network file systems do not have.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN EXCLUSIVE")
            trouble = _prepared(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            code = code_of(error)
            if code in BUSY:
                raise LockedError(
                    self._folder,
                    f"another run{_process(self.output)} is writing into {self._shown}",
                    "wait until it has finished (--wait 10m does), or use another --output",
                ) from None
            if code in _BROKEN or os.path.isdir(self._path):
                self.set_aside(str(error))
            else:
                self._stop_remembering(str(error))
            return
        if trouble:
            connection.close()
            self.set_aside(trouble)
            return
        self._connection = connection

    def _turn_page(self, key: bytes) -> None:
        # If names come in order, every row of a page is used; otherwise just one.
        rows = 1 + min(2 * self._page_hits, _PAGE_ROWS)
        assert self._connection is not None
        try:
            found = self._connection.execute(_PAGE, (key, rows)).fetchall()
        except sqlite3.Error as error:
            raise DamagedError(str(error)) from error
        self._page = {row[0]: row for row in found}
        self._page_hits = 0
        # After its last row nothing is known, unless it is the only page.
        self._page_span = (key, found[-1][0] + b"\0" if len(found) == rows else None)

    def _collect(self, logs: Iterable[str]) -> None:
        """Record what logs say about files that really are where they should be."""
        if self._connection is None or not self._usable:
            return
        with self._transaction() as connection:
            waiting, self._unmatched = self._unmatched, []
            connection.executemany(_MADE, self._matched(waiting))
            for log in logs:
                while self._reads_on(log, connection):
                    pass

    def _reads_on(self, log: str, connection: sqlite3.Connection) -> bool:
        """Record some more lines of a log; False at its end."""
        begin = self._read_to.get(log, 0)
        lines, end, rejected = worker_log.read(log, begin)
        if end == begin:
            return False
        self._read_to[log] = end
        self._rejected += rejected
        entries = [line for line in lines if isinstance(line, Entry)]
        connection.executemany(_MADE, self._matched(entries))
        for entry in entries:
            if entry.kept:
                _keep(connection, entry)
        return True

    def _matched(self, entries: Iterable[Entry]) -> Iterator[tuple[Any, ...]]:
        for entry in entries:
            if entry.kept:
                continue
            found = entry.found(self.output)
            if found is None:
                # Not published yet, or never.
                self._unmatched.append(entry)
                continue
            path = None if entry.path is None else os.fsencode(entry.path)
            told = about.packed(entry.about, entry.hash)
            yield (*found, path, entry.hash, entry.source_hash, *told, os.fsencode(entry.target))

    def _sweep(self, elsewhere: Sequence[str]) -> None:
        """Remove what dead runs left: with the lock, nobody else is at work here."""
        if self._connection is None:
            # Without the lock nobody is known to be dead.
            return
        try:
            logs = worker_log.logs(self.output)
        except OSError:
            # They were read a moment ago; the next run takes care of it.
            return
        logs.pop(self._word, None)
        dead = set(logs)
        if self._usable:
            with self._transaction() as connection:
                dead.update(word for (word,) in connection.execute("SELECT word FROM run"))
        if not dead or not local_files.sweep([self.output, *elsewhere], dead):
            return
        if self._usable:
            with self._transaction() as connection:
                connection.execute("DELETE FROM run")
        if self._usable:
            # What they said is in the journal by now.
            for paths in logs.values():
                _remove(paths)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. A full disk, for instance, ends the journal but not the run."""
        connection = self._connection
        assert connection is not None
        try:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            self._broken = code_of(error) in _BROKEN
            self._stop_remembering(str(error))

    def _stop_remembering(self, why: str) -> None:
        """Stop remembering. The connection stays if there is one: it is the lock."""
        self._usable = False
        self.notices.append(
            f"no journal is kept in {self._shown} ({why}): the next run may not know what this "
            "one made"
        )


def _prepared(connection: sqlite3.Connection) -> str | None:
    """Create the tables of a new database, or return what is wrong with one that is not ours."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == APPLICATION and version in (1, _VERSION):
        found = connection.execute("SELECT * FROM output LIMIT 1")
        # A damaged one may fail only here.
        found.fetchone()
        known = {name for name, *_ in found.description}
        for name, column in zip(_COLUMNS, _ADDED, strict=True):
            if name not in known:
                connection.execute(f"ALTER TABLE output ADD COLUMN {column}")
        if version != _VERSION:
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        return None
    if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        return "it is not a journal of this version of imgbatch"
    for statement in filter(None, map(str.strip, _SCHEMA.split(";"))):
        connection.execute(statement)
    return None


def code_of(error: sqlite3.Error) -> int:
    """The primary error code, without SQLite's extensions."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _claimed(claim: Claim) -> tuple[Any, ...]:
    target, source, (size, mtime_ns, ctime_ns, inode), recipe = claim
    name = os.fsencode(target)
    return name, source, size, mtime_ns, ctime_ns or None, inode or None, recipe


def _keep(connection: sqlite3.Connection, entry: Entry) -> None:
    target = os.fsencode(entry.target)
    connection.execute(_KEPT, (target,))
    if entry.hash is not None:
        connection.execute(_KEPT_IN_PLACE, (*entry.made, entry.hash, target))


def _check_folder(folder: str) -> None:
    """Raise UsageError if the journal's folder is something else: it may lead elsewhere."""
    if os.path.islink(folder) or (os.path.lexists(folder) and not os.path.isdir(folder)):
        raise UsageError(
            f"{folder} is a link or a file, not the folder in which imgbatch keeps its "
            "journal: remove it, or use another --output"
        )


def _at_work_around(folder: str) -> str | None:
    """A folder above or below the given one in which a run is active, if there is one."""
    own = os.path.realpath(folder)
    above = own
    while (parent := os.path.dirname(above)) != above:
        above = parent
        if _is_locked(above):
            return above
    for below, names, _ in os.walk(own):
        if below != own and worker_log.FOLDER in names and _is_locked(below):
            return below
        names[:] = [name for name in names if name != worker_log.FOLDER]
    return None


def _process(folder: str) -> str:
    """The process of the run that is active in a folder, in words, if that is known."""
    try:
        found = worker_log.at_work(folder)
    except OSError:
        found = None
    return f" (process {found})" if found is not None else ""


def _is_locked(folder: str) -> bool:
    """Whether a run holds the journal of a folder."""
    path = os.path.join(folder, worker_log.FOLDER, NAME)
    if not os.path.isfile(path) or os.path.islink(os.path.dirname(path)) or planted(path):
        return False
    with suppress(sqlite3.Error):
        uri = f"{Path(path).as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, timeout=_PROBE_SECONDS, uri=True)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            return code_of(error) in BUSY
        finally:
            connection.close()
    return False


def planted(path: str) -> str | None:
    """What is wrong with a journal, or a file that belongs to it, if it is not a file of its own.

    SQLite follows links, and would write into whatever they point to.
    """
    for suffix in ("", *_COMPANIONS):
        try:
            found = os.lstat(path + suffix)
        except OSError:
            continue
        if not stat.S_ISREG(found.st_mode):
            return f"{os.path.basename(path)}{suffix} is not a regular file"
        if suffix and found.st_nlink > 1:
            return f"{os.path.basename(path)}{suffix} is a link to another file"
    return None


def _remove(paths: Iterable[str]) -> None:
    for path in paths:
        with suppress(OSError):
            os.unlink(path)
