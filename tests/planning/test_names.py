"""Any name that a file system allows: in files, in the report, on the screen, in lists.

All of it through the real command in a real process.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from toolkit import commands, reports
from toolkit.commands import imgbatch_here
from toolkit.folders import SMALL, plant

pytestmark = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="their file systems do not take any bytes"
)

Completed = subprocess.CompletedProcess[bytes]

NFC: Final = "caf\u00e9.jpg".encode()
NFD: Final = "cafe\u0301.jpg".encode()
LONGEST: Final = b"L" * 251 + b".jpg"
NOT_UTF_8: Final = b"latin-1 \xe9\xff.jpg"

NAMES: Final = {
    # The bytes of a name, and how a line on standard error shows it.
    b"new\nline.jpg": r"new\nline.jpg",
    b"\nfirst.jpg": r"\nfirst.jpg",
    b"back\rover.jpg": r"back\rover.jpg",
    b"tab\tin it.jpg": r"tab\tin it.jpg",
    b'it\'s "quoted" `so`.jpg': 'it\'s "quoted" `so`.jpg',
    b"back\\slash.jpg": r"back\slash.jpg",
    b"\x1b[31mred\x1b[0m.jpg": r"\x1b[31mred\x1b[0m.jpg",
    b"bell\x07delete\x7f.jpg": r"bell\x07delete\x7f.jpg",
    "C1 \u009b31m.jpg".encode(): r"C1 \x9b31m.jpg",
    "line\u2028separator.jpg".encode(): r"line\u2028separator.jpg",
    "backwards \u202egpj.jpg".encode(): r"backwards \u202egpj.jpg",
    NOT_UTF_8: r"latin-1 \udce9\udcff.jpg",
    b"half an emoji \xf0\x9f\x8f.jpg": r"half an emoji \udcf0\udc9f\udc8f.jpg",
    b"a surrogate \xed\xa0\x80.jpg": r"a surrogate \udced\udca0\udc80.jpg",
    b"-o.jpg": "-o.jpg",
    b"--report.jpg": "--report.jpg",
    b"  leading spaces.jpg": "  leading spaces.jpg",
    b"trailing dots... .jpg": "trailing dots... .jpg",
    b"dots....jpg": "dots....jpg",
    "🏔👩\u200d👧.jpg".encode(): "🏔👩\\u200d👧.jpg",
    NFD: NFD.decode(),
    b"100%d %s %(name)s %25 %%.jpg": "100%d %s %(name)s %25 %%.jpg",
    b"{stem} {0} {} {{ }}.jpg": "{stem} {0} {} {{ }}.jpg",
    b"{width.jpg": "{width.jpg",
    b"}{ext}{.jpg": "}{ext}{.jpg",
    b"$(touch x);*?[a]!&|<>.jpg": "$(touch x);*?[a]!&|<>.jpg",
    b"~.jpg": "~.jpg",
    b"file:#part?mode=ro.jpg": "file:#part?mode=ro.jpg",
    LONGEST: LONGEST.decode(),
}

TURNING: Final = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that reverse the direction of the rest of a line."""


def imgbatch(
    *words: str | bytes, cwd: Path, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> Completed:
    """Run the command and check that its output is safe to display."""
    environment = {**os.environ, **env} if env else None
    run = commands.imgbatch(*words, cwd=cwd, stdin=stdin, env=environment)
    return fit_to_be_shown(run)


def fit_to_be_shown(run: Completed) -> Completed:
    """Whether output neither moves the cursor nor rings the bell."""
    for text in (run.stdout, run.stderr):
        bad = [one for one in text.decode(errors="surrogateescape") if _moves(one)]
        assert bad == [], text
    return run


def _moves(character: str) -> bool:
    controls = unicodedata.category(character) in ("Cc", "Zl", "Zp") and character != "\n"
    return controls or character in TURNING


def files(folder: bytes | Path) -> set[bytes]:
    """The files below a folder by the bytes of their names, without imgbatch's own."""
    top = os.fsencode(folder)
    paths = (os.path.join(path, name) for path, _, names in os.walk(top) for name in names)
    below = {os.path.relpath(path, top) for path in paths}
    return {path for path in below if b".imgbatch" not in path.split(b"/")}


def report_of(text: bytes) -> tuple[dict[bytes, dict[str, Any]], dict[str, Any]]:
    """The rows of a report by the bytes of their source, and its summary."""
    by_name, summary = reports.rows(text)
    return {os.fsencode(source): row for source, row in by_name.items()}, summary


def outputs_of(rows: Mapping[bytes, dict[str, Any]]) -> dict[bytes, list[bytes]]:
    return {
        source: [os.fsencode(output["path"]) for output in row["outputs"]]
        for source, row in rows.items()
    }


def lines(text: bytes) -> list[str]:
    # Not splitlines, which also splits at form feeds and line separators.
    return text.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")


# In a folder


@pytest.mark.slow
def test_every_name_is_right_in_files_messages_and_report_and_then_up_to_date(
    tmp_path: Path,
) -> None:
    plant(tmp_path / "photos", *NAMES)
    words = ("resize", "photos", "-s", "20", "-o", "out", "-v", "--jobs", "2", "--report", "-")

    run = imgbatch(*words, cwd=tmp_path)

    assert run.returncode == 0
    assert files(tmp_path / "photos") == files(tmp_path / "out") == set(NAMES)
    rows, summary = report_of(run.stdout)
    assert summary["done"] == len(NAMES)
    assert outputs_of(rows) == {b"photos/" + name: [b"out/" + name] for name in NAMES}
    *said, _ = lines(run.stderr)
    assert sorted(line.rpartition(" (20 x 13")[0] for line in said) == sorted(
        f"photos/{shown} -> out/{shown}" for shown in NAMES.values()
    )

    again = imgbatch(*words, cwd=tmp_path)

    assert again.returncode == 0
    rows, summary = report_of(again.stdout)
    assert (summary["done"], summary["skipped"]) == (0, len(NAMES))
    assert {source: row["reason"] for source, row in rows.items()} == {
        b"photos/" + name: "up to date" for name in NAMES
    }
    assert files(tmp_path / "out") == set(NAMES)


def test_dry_run_has_one_line_per_name_and_keeps_bytes_that_are_not_utf_8(
    tmp_path: Path,
) -> None:
    plant(tmp_path / "photos", *NAMES)

    run = fit_to_be_shown(imgbatch_here("resize", "photos", "-o", "out", "--dry-run", cwd=tmp_path))

    assert run.returncode == 0
    # Standard output is read by other programs, so such bytes are kept there.
    shown = [
        re.sub(r"\\udc([89a-f]\w)", lambda byte: chr(0xDC00 + int(byte[1], 16)), text)
        for text in NAMES.values()
    ]
    assert sorted(lines(run.stdout)) == sorted(f"photos/{one} -> out/{one}" for one in shown)
    assert b"photos/" + NOT_UTF_8 + b" -> " in run.stdout
    assert files(tmp_path) == {b"photos/" + name for name in NAMES}


@pytest.mark.slow
def test_every_name_works_for_a_folder(tmp_path: Path) -> None:
    # A template that names the folders must not take their names for templates either.
    plant(tmp_path / "photos", *(name + b"/a.jpg" for name in NAMES))
    words = ("resize", "photos", "-s", "20", "-o", "out", "--report", "-", "--jobs", "2")

    run = imgbatch(*words, "--name", "{dir}/{stem}-{width}{ext}", cwd=tmp_path)

    assert run.returncode == 0
    rows, _ = report_of(run.stdout)
    assert outputs_of(rows) == {
        b"photos/" + name + b"/a.jpg": [b"out/" + name + b"/a-20.jpg"] for name in NAMES
    }
    assert files(tmp_path / "out") == {name + b"/a-20.jpg" for name in NAMES}


@pytest.mark.slow
def test_folder_named_like_a_picture_is_a_folder(tmp_path: Path) -> None:
    plant(tmp_path / "photos", b"a.jpg/inside.jpg", b"a.jpg/b.png/deep.jpg", b"b.jpg")

    run = imgbatch("resize", "photos", "-o", "out", "--jobs", "1", cwd=tmp_path)
    alone = imgbatch("resize", "photos/a.jpg", "--jobs", "1", cwd=tmp_path)

    assert run.returncode == alone.returncode == 0
    assert files(tmp_path / "out") == {b"a.jpg/inside.jpg", b"a.jpg/b.png/deep.jpg", b"b.jpg"}
    assert files(tmp_path / "photos/a.jpg-resized") == {b"inside.jpg", b"b.png/deep.jpg"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "output",
    [
        b"new\nline",
        b"\x1b[31mred",
        NOT_UTF_8.removesuffix(b".jpg"),
        b"50%25 {stem} %s",
        b"file:out?mode=memory#x",
        b":memory:",
        b'it\'s "so"',
        b"-out",
    ],
)
def test_output_folder_may_have_any_name(tmp_path: Path, output: bytes) -> None:
    plant(tmp_path / "photos", b"a.jpg", b"b.jpg")
    words = ("resize", "photos", "-s", "20", "--jobs", "1", "--report")

    run = imgbatch(*words, output + b".jsonl", "-o", output, cwd=tmp_path)
    again = imgbatch(*words, output + b".jsonl", "-o", output, cwd=tmp_path)

    assert run.returncode == again.returncode == 0
    assert len(lines(run.stderr)) == len(lines(again.stderr)) == 1
    made = {output + b"/a.jpg", output + b"/b.jpg", output + b".jsonl"}
    assert files(tmp_path) == {b"photos/a.jpg", b"photos/b.jpg"} | made
    with open(os.path.join(os.fsencode(tmp_path), output + b".jsonl"), "rb") as report:
        rows, summary = report_of(report.read())
    assert set(rows) == {b"photos/a.jpg", b"photos/b.jpg"}
    assert (summary["done"], summary["skipped"]) == (0, 2)


# Named one by one


@pytest.mark.slow
def test_names_after_a_double_dash_are_taken_literally(tmp_path: Path) -> None:
    plant(tmp_path / "in", *NAMES)
    words = ("resize", "-s", "20", "-o", "../out", "--report", "-", "--jobs", "2")

    run = imgbatch(*words, "--", *NAMES, cwd=tmp_path / "in")

    assert run.returncode == 0
    rows, _ = report_of(run.stdout)
    assert outputs_of(rows) == {name: [b"../out/" + name] for name in NAMES}
    assert files(tmp_path / "out") == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("separator", [b"\0", b"\n"])
def test_list_takes_every_name_that_its_separator_allows(tmp_path: Path, separator: bytes) -> None:
    plant(tmp_path / "in", *NAMES)
    names = [name for name in NAMES if separator not in name]
    words = ("resize", "-", "-s", "20", "-o", "../out", "--report", "-", "--jobs", "2")
    null = ("--null",) if separator == b"\0" else ()

    run = imgbatch(*words, *null, cwd=tmp_path / "in", stdin=separator.join([*names, b""]))

    assert run.returncode == 0
    rows, _ = report_of(run.stdout)
    assert outputs_of(rows) == {name: [b"../out/" + name] for name in names}
    assert files(tmp_path / "out") == set(names)


@pytest.mark.slow
def test_trailing_dot_is_part_of_a_name_and_not_a_suffix(tmp_path: Path) -> None:
    plant(tmp_path / "in", b"a.jpg.", b"b.jpg")

    folder = imgbatch("resize", "in", "-o", "out", "--jobs", "1", cwd=tmp_path)
    named = imgbatch("resize", "in/a.jpg.", "-o", "out", "--report", "-", cwd=tmp_path)

    assert folder.returncode == named.returncode == 0
    rows, _ = report_of(named.stdout)
    assert outputs_of(rows) == {b"in/a.jpg.": [b"out/a.jpg.jpg"]}
    assert files(tmp_path / "out") == {b"a.jpg.jpg", b"b.jpg"}


# What cannot be done


@pytest.mark.slow
@pytest.mark.parametrize("on_conflict", ["error", "skip", "overwrite", "rename"])
def test_name_that_would_become_too_long_is_refused_before_any_work(
    tmp_path: Path, on_conflict: str
) -> None:
    # 253 and 255 bytes become 254 and 256.
    plant(tmp_path / "photos", LONGEST, LONGEST[2:], b"short.jpg")
    words = ("convert", "photos", "-f", "webp", "-o", "out", "--on-conflict", on_conflict)

    run = fit_to_be_shown(imgbatch_here(*words, "--jobs", "2", cwd=tmp_path))
    shorter = imgbatch_here(*words, "--name", "{stem:.251}{ext}", "--jobs", "2", cwd=tmp_path)
    without = imgbatch(*words, "--exclude", LONGEST, "-o", "rest", "--jobs", "2", cwd=tmp_path)

    assert run.returncode == 2
    first, said, remedy = lines(run.stderr)
    assert first.startswith("imgbatch: nothing was written")
    assert (
        f"{LONGEST.decode()} would get a name of 256 bytes, but at most 255 are allowed: L" in said
    )
    assert "'{stem:.60}{ext}'" in remedy
    assert "--exclude" in remedy
    assert shorter.returncode == 2, "251 and .webp are 256"
    assert without.returncode == 0
    assert files(tmp_path / "out") == set()
    assert files(tmp_path / "rest") == {LONGEST[2:-4] + b".webp", b"short.webp"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("letter", "most", "folder"), [("L", 251, False), ("é", 125, False), ("🎞", 63, True)]
)
def test_name_length_is_counted_in_bytes(
    tmp_path: Path, letter: str, most: int, folder: bool
) -> None:
    plant(tmp_path / "photos", b"a.jpg")
    words = ("resize", "photos", "-s", "20", "-o", "out", "--jobs", "1", "--name")
    rest = "/{seq}{ext}" if folder else "{ext}"

    refused = imgbatch_here(*words, letter * (most + 1) + rest, cwd=tmp_path)
    done = imgbatch(*words, letter * most + rest, cwd=tmp_path)

    assert refused.returncode == 2
    assert "but at most 255 are allowed" in lines(refused.stderr)[1]
    assert done.returncode == 0
    assert len(files(tmp_path / "out")) == 1


@pytest.mark.slow
def test_name_that_a_number_makes_too_long_is_refused(tmp_path: Path) -> None:
    # The second one would be renamed to 257 bytes.
    plant(tmp_path / "photos", LONGEST, LONGEST.lower())
    words = ("resize", "photos", "-s", "20", "-o", "out", "--jobs", "2", "--on-conflict")

    renamed = imgbatch_here(*words, "rename", cwd=tmp_path)
    skipped = imgbatch(*words, "skip", cwd=tmp_path)

    assert renamed.returncode == 2
    assert "would get a name of 257 bytes" in lines(renamed.stderr)[1]
    assert skipped.returncode == 0
    assert files(tmp_path / "out") == {LONGEST}


@pytest.mark.slow
def test_names_equal_in_unicode_normalization_are_refused_or_numbered(tmp_path: Path) -> None:
    # Some systems take them for one file, so one of them would get lost there.
    plant(tmp_path / "photos", NFC, NFD)
    words = ("resize", "photos", "-s", "20", "-o", "out", "--jobs", "2")

    refused = fit_to_be_shown(imgbatch_here(*words, cwd=tmp_path))
    renamed = imgbatch(*words, "--on-conflict", "rename", "--report", "-", cwd=tmp_path)

    assert refused.returncode == 2
    assert NFC in refused.stderr
    assert NFD in refused.stderr
    assert renamed.returncode == 0
    rows, _ = report_of(renamed.stdout)
    assert outputs_of(rows) == {
        b"photos/" + NFD: [b"out/" + NFD],
        b"photos/" + NFC: [b"out/" + NFC[:-4] + b"-2.jpg"],
    }
    assert files(tmp_path / "out") == {NFD, NFC[:-4] + b"-2.jpg"}


@pytest.mark.slow
def test_failures_take_one_line_each_and_the_report_has_the_exact_names(tmp_path: Path) -> None:
    plant(tmp_path / "photos", *NAMES, data=SMALL[:-200])
    words = ("resize", "photos", "-o", "out", "--report", "-", "--jobs", "2")

    run = imgbatch(*words, "-v", cwd=tmp_path)

    assert run.returncode == 1
    rows, summary = report_of(run.stdout)
    assert set(rows) == {b"photos/" + name for name in NAMES}
    assert summary["failed"] == len(NAMES)
    *said, _, first, second, third, rest = lines(run.stderr)
    assert sorted(line.rpartition(" failed: ")[0] for line in said) == sorted(
        f"photos/{shown}" for shown in NAMES.values()
    )
    assert all(one.startswith("failed: photos/") for one in (first, second, third))
    assert rest == f"failed: {len(NAMES) - 3} more (see --report FILE)"


def test_conflicts_take_one_line_each(tmp_path: Path) -> None:
    awkward = [name for name, shown in NAMES.items() if name != os.fsencode(shown)][:5]
    plant(tmp_path / "photos", *awkward)
    plant(tmp_path / "out", *awkward, data=b"somebody's own")

    run = fit_to_be_shown(
        imgbatch_here("resize", "photos", "-o", "out", "--jobs", "1", cwd=tmp_path)
    )

    assert run.returncode == 2
    first, *said, last = lines(run.stderr)
    assert first.startswith("imgbatch: nothing was written")
    assert sorted(said) == sorted(f"  out/{NAMES[name]} exists already" for name in awkward)
    assert "--on-conflict" in last


ODD: Final = "new\nline\rback\x07bell\u202egpj".encode() + b"\xff"
TO: Final = ("photos", "-o", "out")


@pytest.mark.parametrize(
    "words",
    [
        (b"missing-" + ODD,),
        (b"missing-" + ODD, "-o", "out"),
        ("photos", "-o", b"file-" + ODD),
        (b"empty-" + ODD, "-o", "out"),
        (*TO, "--report", b"photos/a.jpg/" + ODD),
        (*TO, "--report", ODD + b".jpg"),
        ("photos", "--in-place", "--backup", b"file-" + ODD),
        (*TO, "-s", b"64-" + ODD),
        (*TO, "-s", ODD + b"=64", "-s", ODD + b"=32"),
        (*TO, "--fit", ODD),
        (*TO, "--gravity", ODD),
        (*TO, "--kernel", ODD),
        (*TO, "--background", ODD),
        (*TO, "--metadata", ODD),
        (*TO, "--profile", ODD),
        (*TO, "--name", b"{" + ODD + b"}"),
        (*TO, "--name", ODD + b"/../x"),
        (*TO, "--filter", ODD),
        (*TO, "--filter", b"sharpen:" + ODD + b"=1"),
        (*TO, "--filter", b"sharpen:amount=" + ODD),
        (*TO, "--memory", ODD),
        (*TO, "--max-pixels", ODD),
        (*TO, "-f", ODD),
    ],
)
def test_usage_errors_take_one_line(tmp_path: Path, words: tuple[bytes | str, ...]) -> None:
    plant(tmp_path, b"photos/a.jpg", b"file-" + ODD, b"empty-" + ODD + b"/no-picture.txt")

    run = fit_to_be_shown(imgbatch_here("resize", *words, "--jobs", "1", cwd=tmp_path))

    assert run.returncode in (2, 3)
    assert len(_without_usage(run.stderr)) == 1
    assert not (tmp_path / "out").exists()


def _without_usage(stderr: bytes) -> list[str]:
    """Omit click's own three lines of usage."""
    return [line for line in lines(stderr) if line and not line.startswith(("Usage: ", "Try '"))]


# Other surroundings


@pytest.mark.slow
def test_names_survive_an_ascii_terminal(tmp_path: Path) -> None:
    plant(tmp_path / "photos", *NAMES)
    words = ("resize", "photos", "-s", "20", "-o", "out")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    planned = imgbatch(*words, "--dry-run", cwd=tmp_path, env=plain)
    run = imgbatch(*words, "-v", "--report", "report", "--jobs", "2", cwd=tmp_path, env=plain)
    again = imgbatch(*words, cwd=tmp_path)

    assert planned.returncode == run.returncode == again.returncode == 0
    assert len(lines(planned.stdout)) == len(NAMES)
    assert files(tmp_path / "out") == set(NAMES)
    rows, _ = report_of((tmp_path / "report").read_bytes())
    assert set(rows) == {b"photos/" + name for name in NAMES}
    assert len(lines(run.stderr)) == len(NAMES) + 1
    assert lines(again.stderr)[-1].startswith(f"{len(NAMES)} up to date")


@pytest.mark.slow
def test_only_the_option_is_taken_for_a_template(tmp_path: Path) -> None:
    plant(tmp_path / "photos", b"{ext}{seq}.jpg", b"%Y {date:%Y}.jpg", b"{stem!r:>99}.jpg")
    words = ("resize", "photos", "-s", "%s=20", "-o", "out", "--jobs", "1")

    run = imgbatch(*words, "--name", "{seq}-{stem}-{output}{ext}", cwd=tmp_path)

    assert run.returncode == 0
    assert files(tmp_path / "out") == {
        b"1-%Y {date:%Y}-%s.jpg",
        b"2-{ext}{seq}-%s.jpg",
        b"3-{stem!r:>99}-%s.jpg",
    }
