"""The JSON Lines report: one object per source, and the summary last."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TextIO

from msgspec.structs import asdict

from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.model import Result, Summary
from imgbatch.planning.output_paths import is_own


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
    left_out = {name: value for name, value in asdict(summary.left_out).items() if value}
    if left_out:
        fields["left_out"] = left_out
    if summary.unfinished:
        fields["not_done"] = summary.unfinished
    if summary.stopped:
        fields["stopped"] = summary.stopped
    return {"summary": fields}


class Report:
    """A report that grows as the run goes. Bytes of names that are not UTF-8 survive in it.

    `trouble` says why it could not be written to its end, if so.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.trouble: str | None = None

    @classmethod
    def create(cls, path: str) -> Report:
        """Begin a report in the file `path` (- is standard output).

        Raises UsageError if that makes no sense or cannot be done.
        """
        if path == "-":
            return cls(sys.stdout)
        if formats.of_suffix(os.path.splitext(path)[1].lower()) is not None:
            raise UsageError(f"--report {path} names a picture: it would be overwritten")
        if is_own(path.split(os.sep)):
            raise UsageError(
                f"--report {path} is in a folder where imgbatch keeps its journal: use another"
            )
        try:
            return cls(open(path, "w", encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"cannot write the report {path}: {error.strerror}") from None

    def add(self, result: Result) -> None:
        """Write one result's row."""
        self._write(row(result))

    def finish(self, summary: Summary) -> None:
        """Write the last row."""
        self._write(summary_row(summary))

    def _write(self, fields: dict[str, Any]) -> None:
        # ASCII, so that surrogates (bytes of a name that are not UTF-8) become \\udc80 escapes.
        if self.trouble is not None:
            return
        try:
            self._file.write(json.dumps(fields, ensure_ascii=True) + "\n")
            self._file.flush()
        except OSError as error:
            # Pictures matter more: the run goes on, and says at its end that the report is lost.
            self.trouble = error.strerror or str(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not sys.stdout:
            with suppress(OSError):
                self._file.close()
