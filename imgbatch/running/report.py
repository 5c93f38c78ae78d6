"""The JSON Lines report: a header, one object per source, and the summary last.

docs/report.schema.json describes it.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

from msgspec.structs import asdict

from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.model import LeftOver, Result, Summary
from imgbatch.planning.output_paths import is_own

if TYPE_CHECKING:
    from imgbatch.recipes.recipe import Recipe

try:
    import fcntl
except ImportError:
    # Windows has none; there two runs can still spoil one report.
    fcntl = None  # type: ignore[assignment]

SCHEMA: Final = 1
"""The version of the schema: higher once something in it changes other than by new fields."""

# Who logs in where, in an address; and values that are called secret.
_LOGINS: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SECRETS: Final = re.compile(
    r"((?:password|passwd|secret|token|signature|credential|api[-_]?key|access[-_]?key)[^=\s]*=)"
    r"[^&,\s]*",
    re.IGNORECASE,
)


def row(result: Result) -> dict[str, Any]:
    """A result as it is in the report; fields without a value are omitted."""
    fields: dict[str, Any] = {"source": result.source.path, "status": result.status}
    if result.written:
        fields["outputs"] = [
            {
                "name": one.output,
                "path": one.path,
                "width": one.width,
                "height": one.height,
                "bytes": one.bytes,
                "format": one.format,
                **({"copied": True} if one.copied else {}),
                **({"replaced": one.replaced} if one.replaced else {}),
            }
            for one in result.written
        ]
    if result.notices:
        fields["warnings"] = [
            {"kind": notice.kind, "message": notice.message} for notice in result.notices
        ]
    if result.failure:
        fields["error"] = {
            "stage": result.failure.stage,
            "kind": result.failure.kind,
            "message": result.failure.message,
        }
    if result.date_source:
        fields["date_source"] = result.date_source
    if result.reason:
        fields["reason"] = result.reason
    fields["seconds"] = round(result.seconds, 4)
    return fields


def summary_row(summary: Summary) -> dict[str, Any]:
    """The last object of a report."""
    fields: dict[str, Any] = {
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": summary.failed,
        "warnings": summary.warnings,
        "bytes_in": summary.bytes_in,
        "bytes_out": summary.bytes_out,
        "seconds": round(summary.seconds, 3),
        "jobs": summary.jobs,
        "exit_code": summary.exit_code,
    }
    if summary.up_to_date:
        fields["up_to_date"] = summary.up_to_date
    if summary.replaced:
        fields["replaced"] = summary.replaced
    if summary.pruned:
        fields["pruned"] = summary.pruned
    if summary.left_over:
        fields["left_over"] = summary.left_over
    left_out = {name: value for name, value in asdict(summary.left_out).items() if value}
    if left_out:
        fields["left_out"] = left_out
    if summary.unfinished:
        fields["not_done"] = summary.unfinished
    if summary.stopped:
        fields["stopped"] = summary.stopped
    return {"summary": fields}


def pruned_row(one: LeftOver) -> dict[str, Any]:
    """An output of an earlier run that was removed."""
    return {
        "pruned": {
            "path": one.path,
            "source": one.source,
            "reason": one.reason,
            "bytes": one.state.size,
        }
    }


def header_row(
    version: str, command: Sequence[str], started: float, recipe: Recipe | None
) -> dict[str, Any]:
    """The first object of a report: what was asked of which version, and when (since 1970).

    There is no `recipe` if the run ended before that was known.
    """
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "version": version,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "command": [_without_secrets(word) for word in command],
    }
    if recipe is not None:
        fields["recipe"] = {"name": recipe.name, "digest": recipe.digest}
    return {"header": fields}


def error_row(code: int, kind: str, message: str, seconds: float) -> dict[str, Any]:
    """The last object of a report whose run ended before any file had an outcome."""
    row = summary_row(Summary(jobs=0, seconds=seconds))
    row["summary"] |= {"exit_code": code, "error": {"kind": kind, "message": message}}
    return row


def _without_secrets(word: str) -> str:
    return _SECRETS.sub(r"\1…", _LOGINS.sub("…", word))


class Report:
    """A report that grows as the run goes. Bytes of names that are not UTF-8 survive in it.

    `trouble` says why it could not be written to its end, if so.
    """

    def __init__(self, file: TextIO, header: dict[str, Any]) -> None:
        self._file = file
        # It comes with the first row: nobody may be reading, and work should have begun by then.
        self._waiting = [header]
        self.trouble: str | None = None

    @classmethod
    def create(cls, path: str, header: dict[str, Any]) -> Report:
        """Begin a report in the file `path` (- is standard output); make its folder.

        Raises UsageError if that makes no sense or cannot be done.
        """
        if path == "-":
            return cls(sys.stdout, header)
        if formats.of_suffix(os.path.splitext(path)[1].lower()) is not None:
            raise UsageError(f"--report {path} names a picture: it would be overwritten")
        if is_own(path.split(os.sep)):
            raise UsageError(
                f"--report {path} is in a folder where imgbatch keeps its journal: use another"
            )
        if _holds_something_else(path):
            raise UsageError(
                f"--report {path} holds something other than a report, which would be lost: use "
                "another"
            )
        try:
            os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
            return cls(_taken(path), header)
        except BlockingIOError:
            raise UsageError(
                f"another run is writing the report {path}: use another file for each run"
            ) from None
        except OSError as error:
            raise UsageError(f"cannot write the report {path}: {error.strerror}") from None

    def add(self, row: dict[str, Any]) -> None:
        """Write one object."""
        # ASCII, so that surrogates (bytes of a name that are not UTF-8) become \\udc80 escapes.
        if self.trouble is not None:
            return
        try:
            rows, self._waiting = [*self._waiting, row], []
            self._file.write("".join(json.dumps(one, ensure_ascii=True) + "\n" for one in rows))
            self._file.flush()
        except OSError as error:
            # Pictures matter more: the run goes on, and says at its end that the report is lost.
            self.trouble = error.strerror or str(error)

    def close(self) -> None:
        """Close its file."""
        if self._file is not sys.stdout:
            with suppress(OSError):
                self._file.close()


def _holds_something_else(path: str) -> bool:
    """Whether there is a file that is no report: a log, a recipe or anything of the user's."""
    # Reading from a pipe would wait.
    if not os.path.isfile(path):
        return False
    with suppress(OSError), open(path, "rb") as file:
        return file.read(1) not in (b"", b"{")
    return False


def _taken(path: str) -> TextIO:
    """The emptied file, which belongs to this run alone. Raises BlockingIOError for another's."""
    file = open(path, "a", encoding="utf-8")
    try:
        if fcntl is not None and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            _lock(file)
        with suppress(OSError):
            # What cannot be cut, such as a pipe, has nothing to be cut.
            file.truncate(0)
    except BaseException:
        file.close()
        raise
    return file


def _lock(file: TextIO) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        # Some file systems have no locks.
        return
