"""Reports of every kind, held against their schema."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from toolkit import ROOT
from toolkit.commands import COMMAND, Completed, imgbatch, imgbatch_here
from toolkit.folders import SMALL, files, plant
from toolkit.reports import large

from imgbatch.recipes.recipe import Recipe

SCHEMA: Final[dict[str, Any]] = json.loads((ROOT / "docs/report.schema.json").read_text())


def closed(schema: Any) -> Any:
    """The schema without room for fields that it does not name."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


AS_DOCUMENTED: Final = Draft202012Validator(closed(SCHEMA))
FOR_READERS: Final = Draft202012Validator(SCHEMA)


def lines(report: bytes) -> list[dict[str, Any]]:
    """The lines of a whole report, each as the schema says."""
    found = [json.loads(line) for line in report.splitlines()]
    for line in found:
        AS_DOCUMENTED.validate(line)
        FOR_READERS.validate(line)
    assert ["header" in line for line in found] == [True, *[False] * (len(found) - 1)]
    assert ["summary" in line for line in found] == [*[False] * (len(found) - 1), True]
    return found


def reported(tmp_path: Path, *words: str, here: bool = False) -> tuple[Completed, Any]:
    """A command with a report in a folder that is not there yet."""
    path = tmp_path / "neu/er report/r.jsonl"
    run = (imgbatch_here if here else imgbatch)(*words, "--report", str(path), cwd=tmp_path)
    return run, lines(path.read_bytes())


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.slow
def test_done_skipped_and_failed(tmp_path: Path) -> None:
    plant(tmp_path / "in", "a.jpg", "b c.jpg", "ü.jpg", "movie.mov")
    plant(tmp_path / "in", "cut.jpg", data=SMALL[:-100])
    words = ("resize", "in", "-o", "out", "-s", "w=30", "-s", "s=20", "-j", "1")
    run, (_, *rows, last) = reported(tmp_path, *words)
    (tmp_path / "out/a-w.jpg").unlink()
    again, (_, *others, _) = reported(tmp_path, *words, "--salvage")
    _, (*_, forced) = reported(tmp_path, *words, "--force", "--strict", "--salvage")

    assert (run.returncode, again.returncode) == (1, 0)
    assert sorted(row["status"] for row in rows) == ["done", "done", "done", "failed"]
    assert last["summary"]["exit_code"] == 1
    assert sorted(row["status"] for row in others) == ["done", "done", "skipped", "skipped"]
    assert [len(row["outputs"]) for row in others if row["status"] == "skipped"] == [2, 2]
    assert any("warnings" in row for row in others)
    assert forced["summary"]["replaced"] == {"force": 3}


def test_header_tells_version_command_recipe_and_start(tmp_path: Path) -> None:
    plant(tmp_path / "in", "a.jpg")
    words = ["resize", "in", "-s", "30", "-o", "out", "--report", "-"]
    run = imgbatch(*words, cwd=tmp_path)

    header = lines(run.stdout)[0]["header"]
    recipe = Recipe.from_options("resized", sizes=["30"])
    assert header["command"] == ["imgbatch", *words]
    assert header["recipe"] == {"name": "resized", "digest": recipe.digest}
    started = datetime.strptime(header["started"], "%Y-%m-%dT%H:%M:%S%z")
    assert timedelta() <= datetime.now(UTC) - started < timedelta(hours=1)


def test_command_line_without_words_asks_for_no_report(tmp_path: Path) -> None:
    assert imgbatch_here("resize", cwd=tmp_path).returncode == 2
    assert imgbatch_here(cwd=tmp_path).returncode == 2


def test_header_has_no_secrets(tmp_path: Path) -> None:
    words = ("resize", "s3://ada:se:cret@host/in", "-o", "https://h/x?token=abc&a=1", "-q", "90")
    _, (head, _) = reported(tmp_path, *words, here=True)

    assert head["header"]["command"][2:7] == [
        *("s3://…@host/in", "-o", "https://h/x?token=…&a=1", "-q", "90")
    ]


ENDS: Final = {
    "resize gone": ("usage", "gone"),
    "resize in -o in": ("plan", "is the original"),
    "resize in -o taken": ("usage", "is a file"),
    "resize in -s huge": ("usage", "huge"),
    "resize in --no-such": ("usage", "--no-such"),
    "resize in --jobs none": ("usage", "none"),
    "resize": ("usage", "PATH"),
    "run no-preset in": ("usage", "no-preset"),
    "resize empty": ("nothing-found", "no image found in empty"),
}


@pytest.mark.parametrize("words", ENDS)
def test_run_that_ends_with_2_or_3_has_a_report(tmp_path: Path, words: str) -> None:
    plant(tmp_path, "in/a.jpg", "taken")
    (tmp_path / "empty").mkdir()
    kind, said = ENDS[words]

    run, (_, last) = reported(tmp_path, *words.split(), here=True)

    summary = last["summary"]
    assert summary["exit_code"] == run.returncode == (3 if kind == "nothing-found" else 2)
    assert summary["error"]["kind"] == kind
    assert said in summary["error"]["message"]
    assert files(tmp_path) == ["in/a.jpg", "neu/er report/r.jsonl", "taken"]


def test_error_report_on_standard_output(tmp_path: Path) -> None:
    run = imgbatch_here("resize", "gone", "--report=-", cwd=tmp_path)

    assert lines(run.stdout)[-1]["summary"]["exit_code"] == 2


@pytest.mark.parametrize("more", [["-n"], ["-vn"], ["--dry-run"], ["--help"], ["--", "-j"]])
def test_no_report_is_written_where_nothing_is_done(tmp_path: Path, more: list[str]) -> None:
    path = plant(tmp_path, "r.jsonl") / "r.jsonl"
    first, rest = (more, []) if more[0] != "--" else ([], ["--", "--report", "r.jsonl"])
    given = ["--report", "r.jsonl"] if first else []

    imgbatch_here("resize", "gone", *first, *given, *rest, cwd=tmp_path)

    assert path.read_bytes() == SMALL


@pytest.mark.parametrize("name", ["a.jpg", "out/.imgbatch/r.jsonl", "a.jpg/r.jsonl"])
def test_unusable_report_is_named_besides_the_error(tmp_path: Path, name: str) -> None:
    plant(tmp_path, "a.jpg")

    run = imgbatch_here("resize", "gone", "-o", "out", "--report", name, cwd=tmp_path)

    assert run.returncode == 2
    assert b"gone" in run.stderr
    assert b"report" in run.stderr
    assert files(tmp_path) == ["a.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs flock")
def test_report_of_a_run_that_is_at_work_is_left_to_it(tmp_path: Path) -> None:
    import fcntl

    plant(tmp_path, "in/a.jpg")
    with (tmp_path / "r.jsonl").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write("{its rows}")
        other.flush()
        run = imgbatch_here("resize", "in", "-o", "out", "--report", "r.jsonl", cwd=tmp_path)

    assert run.returncode == 2
    assert b"another run is writing the report r.jsonl" in run.stderr
    assert (tmp_path / "r.jsonl").read_text() == "{its rows}"
    assert files(tmp_path / "out") == []


@pytest.fixture
def long_run(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    plant(tmp_path / "in", *(f"{number}.jpg" for number in range(60)), data=large())
    words = ("resize", "in", "-o", "out", "-j", "1", "-v", "-s", "2400", "--report", "r.jsonl")
    run = subprocess.Popen(
        [*COMMAND, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    yield run
    with suppress(OSError):
        run.kill()
    run.communicate()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_interrupted_run_has_a_whole_report(
    tmp_path: Path, long_run: subprocess.Popen[bytes]
) -> None:
    assert long_run.stderr is not None
    long_run.stderr.readline()
    os.kill(long_run.pid, signal.SIGTERM)
    long_run.wait(300)

    last = lines((tmp_path / "r.jsonl").read_bytes())[-1]["summary"]
    assert last["exit_code"] == 128 + signal.SIGTERM
    assert last["not_done"] > 0


@pytest.mark.parametrize(
    "line",
    [
        {"summary": {}},
        {"source": "a", "status": "lost", "seconds": 0},
        {"source": "a", "status": "done", "seconds": 0},
        {"source": "a", "status": "failed", "seconds": 0},
        {"header": {"schema": 2, "version": "", "started": "2026-01-01T00:00:00Z", "command": []}},
        {},
    ],
)
def test_schema_refuses_what_is_no_line(line: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FOR_READERS.validate(line)


def test_schema_allows_new_fields() -> None:
    FOR_READERS.validate({"source": "a", "status": "skipped", "reason": "r", "seconds": 0, "n": 1})


@pytest.mark.parametrize("words", ["resize in", "resize in --no-such", "resize gone"])
def test_only_a_report_is_replaced(tmp_path: Path, words: str) -> None:
    plant(tmp_path, "in/a.jpg")
    (tmp_path / "notes").write_text("[[output]]\n")
    run = imgbatch_here(*words.split(), "--report", "notes", cwd=tmp_path)
    assert run.returncode == 2
    assert b"notes holds something other than a report" in run.stderr
    assert (tmp_path / "notes").read_text() == "[[output]]\n"


@pytest.mark.parametrize("other", ["--log", "--save-recipe"])
def test_two_options_cannot_name_one_file(tmp_path: Path, other: str) -> None:
    plant(tmp_path, "in/a.jpg")
    run = imgbatch_here("resize", "in", "--report", "x", other, "./x", cwd=tmp_path)
    assert run.returncode == 2
    assert f"--report and {other} are one file, ./x".encode() in run.stderr


@pytest.mark.parametrize("option", ["--report", "--log", "--save-recipe"])
def test_no_text_is_written_under_the_name_of_a_picture(tmp_path: Path, option: str) -> None:
    plant(tmp_path, "in/a.jpg")
    run = imgbatch_here("resize", "in", "-n", option, "b.JPG", cwd=tmp_path)
    assert run.returncode == 2
    assert not (tmp_path / "b.JPG").exists()


@pytest.mark.parametrize("flags", ["-n", "-nv", "-vn", "-h"])
def test_what_only_shows_has_no_report(tmp_path: Path, flags: str) -> None:
    plant(tmp_path, "in/a.jpg")
    imgbatch_here("resize", "in", flags, "--report", "r.jsonl", "-o", "", cwd=tmp_path)
    assert not (tmp_path / "r.jsonl").exists()


def test_value_that_looks_like_a_flag_has_a_report(tmp_path: Path) -> None:
    run = imgbatch_here("resize", "gone", "-ohen", "--report", "r.jsonl", cwd=tmp_path)
    assert run.returncode == 2
    assert (tmp_path / "r.jsonl").exists()
