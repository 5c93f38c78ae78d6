"""scripts/compare: its table covers everything, and it finds what differs."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from toolkit import ROOT
from toolkit.commands import imgbatch_here, tool, tool_environment
from toolkit.folders import SMALL, plant
from toolkit.pictures import saved, scene, wide_gamut_profile, with_metadata
from tools.compare import command, pixels, sources, table
from tools.compare.differences import Comparison, compared
from tools.compare.outcomes import Outcome, Ran, Row, files_in, lines_of, rows_of
from tools.compare.recipes import ALL, FEW, TABLE, Entry, lacking, own_operations, works
from tools.compare.sides import CompareError, Side, commit_of, copy_tree

ENTRY: Final = Entry("some", ("resize ALL -o out",))
ROW: Final[Row] = {
    "status": "done",
    "outputs": [{"path": "out/a.jpg", "bytes": 300}],
    "warnings": [{"kind": "enlarged", "message": "larger"}],
}


# The table


def test_table_covers_everything() -> None:
    assert lacking() == []


def test_gap_in_the_table_is_reported() -> None:
    missing = lacking([entry for entry in TABLE if "gif" not in entry.name])
    assert {"format of format gif", "dither of format gif"} & set(missing)
    assert "operation blur" in lacking([ENTRY])
    assert "command formats" in lacking([ENTRY])
    assert {f"operation {name}" for name in own_operations()} <= set(lacking([ENTRY]))


def test_entry_names_are_unique() -> None:
    names = [entry.name for entry in TABLE]
    assert len(set(names)) == len(names) >= 15


@pytest.mark.slow
@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.name)
def test_every_entry_is_valid_in_this_version(entry: Entry, tmp_path: Path) -> None:
    place = tmp_path / "entry"
    plant(place, "in/a.jpg", "in/b.dng")
    sources.plant_assets(tmp_path / "assets")
    for name, text in entry.files.items():
        (place / name).write_text(text)
    for words in entry.words():
        given = ["in" if word in (ALL, FEW) else word for word in words]
        if works(words):
            given.append("--dry-run")
        run = imgbatch_here(*given, cwd=place, stdin=entry.stdin.encode())
        assert (run.returncode == 2) == entry.refused, (given, run.stderr.decode())


def test_pictures_are_deterministic_and_have_unique_stems() -> None:
    made = list(sources.made())
    stems = [one.name.rpartition(".")[0] for one in made]
    assert len(set(stems)) == len(stems)
    again = {one.name: one.data for one in sources.made()}
    # An animated AVIF records when it was written.
    assert all(again[one.name] == one.data for one in made if one.name != "moving-avif.avif")


# What differs


def ran(code: int = 0, rows: dict[str, Row] | None = None, **said: list[str]) -> Ran:
    return Ran("resize in", code, said.get("out", []), said.get("err", []), rows or {}, 1.0)


def outcome(place: Path, run: Ran | None = None) -> Outcome:
    return Outcome((run or ran(),), files_in(place, ["in"]))


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with the same files."""
    for name in ("old", "new"):
        plant(tmp_path / name, "out/a.jpg", "out/b.jpg", "in/a.jpg", "out/.imgbatch/journal")
    return tmp_path / "old", tmp_path / "new"


def test_equal_outcomes_do_not_differ(two: tuple[Path, Path]) -> None:
    old, new = two
    (new / "out/.imgbatch/journal").write_bytes(b"another")
    os.utime(new / "out/a.jpg", (1, 1))
    found = compared(ENTRY, outcome(old), outcome(new))
    assert (found.files, found.identical, found.differs) == (2, 2, False)
    assert list(table.differences(found)) == []


def _append(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_append, "bytes, same pixels"),
        (Path.unlink, "only old makes it"),
        (lambda file: file.chmod(0o600), "→ 600"),
        (lambda file: file.write_bytes(saved(scene(30, 40), "JPEG")), "60x40 → 30x40"),
        (lambda file: file.write_bytes(saved(scene(60, 40), "JPEG", quality=30)), "PSNR"),
        (lambda file: file.write_bytes(saved(scene(60, 40), "PNG")), "JPEG → PNG"),
        (lambda file: file.write_bytes(b"no picture"), "only the old one decodes"),
    ],
)
def test_file_that_differs_is_reported(
    two: tuple[Path, Path], change: Callable[[Path], Any], words: str
) -> None:
    old, new = two
    (new / "out/a.jpg").chmod(0o644)
    (old / "out/a.jpg").chmod(0o644)
    change(new / "out/a.jpg")
    found = compared(ENTRY, outcome(old), outcome(new))
    assert (found.files, found.differing, found.differs) == (2, 1, True)
    (line,) = found.lines["files"]
    assert line.startswith("out/a.jpg: ")
    assert words in line


def test_file_made_only_by_the_tree_is_reported(two: tuple[Path, Path]) -> None:
    old, new = two
    plant(new, "out/c.jpg")
    found = compared(ENTRY, outcome(old), outcome(new))
    assert found.lines == {"files": ["out/c.jpg: only new makes it"]}


def test_dates_count_where_they_are_promised(two: tuple[Path, Path]) -> None:
    old, new = two
    os.utime(new / "out/a.jpg", (1, 1))
    found = compared(dataclasses.replace(ENTRY, dates=True), outcome(old), outcome(new))
    assert "out/a.jpg: other date" in found.lines["files"]


def test_differing_metadata_are_named() -> None:
    plain = with_metadata(scene(), "PNG")
    profiled = with_metadata(scene(), "PNG", icc=wide_gamut_profile(), dpi=(300, 300))
    words = pixels.summary(plain, profiled)
    assert "same pixels" in words
    assert "ICC only in the new one, resolution only in the new one" in words
    tagged, other, longer = (
        with_metadata(scene(), "TIFF", xmp=packet) for packet in (b"<x/>", b"<y/>", b"<long/>")
    )
    assert "XMP only in the old one" in pixels.summary(tagged, with_metadata(scene(), "TIFF"))
    assert "other XMP (from byte 1 on)" in pixels.summary(tagged, other)
    assert "other XMP (4 → 7 bytes)" in pixels.summary(tagged, longer)
    texts = [with_metadata(scene(), "PNG", xmp=packet) for packet in (b"<x/>", b"<y/>")]
    assert "other XMP (from byte 1 on)" in pixels.summary(*texts)


def test_difference_in_levels_is_measured() -> None:
    before = Image.new("L", (16, 16), 100)
    after = before.copy()
    after.putpixel((3, 3), 104)
    words = pixels.summary(saved(before, "PNG"), saved(after, "PNG"))
    # One of 256 pixels is 4 levels off: 10 log10(255² · 256 / 16).
    assert "PSNR 60.2 dB, at most 4 levels" in words


def test_differing_texts_show_their_first_differing_line() -> None:
    assert "line 2: 'b' → 'c'" in pixels.summary(b"a\nb\n", b"a\nc\n")


@pytest.mark.parametrize(
    ("after", "kind", "words", "warnings"),
    [
        (ran(1), "exit code", "0 → 1: `resize in`", 0),
        (ran(out=["more"]), "stdout", "+ more", 0),
        (ran(err=["more"]), "stderr", "+ more", 0),
        (ran(rows={}), "rows", "a.jpg: only in the old report", 0),
        (ran(rows={"a.jpg": ROW | {"status": "failed"}}), "rows", "status done → failed", 0),
        (
            ran(rows={"a.jpg": ROW | {"outputs": [{"path": "out/a.jpg", "bytes": 301}]}}),
            "rows",
            "a.jpg: outputs[0].bytes 300 → 301",
            0,
        ),
        (
            ran(rows={"a.jpg": {**ROW, "warnings": []}}),
            "rows",
            "a.jpg: warnings[0].kind enlarged → nothing",
            1,
        ),
        (ran(2, err=["Error: no such option: --new"]), "refused", "no such option: --new", 0),
    ],
)
def test_command_that_differs_is_reported(after: Ran, kind: str, words: str, warnings: int) -> None:
    keeps_rows = kind == "rows"
    before = ran(rows={"a.jpg": ROW} if keeps_rows else {})
    found = compared(ENTRY, Outcome((before,), {}), Outcome((after,), {}))
    assert list(found.lines) == [kind]
    assert any(words in line for line in found.lines[kind])
    assert (found.differs, found.warnings) == (True, warnings)
    assert not compared(ENTRY, Outcome((before,), {}), Outcome((before,), {})).differs


def test_refusal_by_both_is_noted_unless_expected() -> None:
    both = Outcome((ran(2, err=["Error: no"]),), {})
    found = compared(ENTRY, both, both)
    assert not found.differs
    assert "refused by both" in found.notes[0]
    assert not compared(dataclasses.replace(ENTRY, refused=True), both, both).notes


def test_changed_source_is_reported() -> None:
    found = compared(ENTRY, Outcome((), {}), Outcome((), {}, ("a.jpg",)))
    assert found.lines == {"sources": ["new changed a.jpg"]}


def test_times_paths_versions_and_the_order_of_workers_do_not_count(tmp_path: Path) -> None:
    said = [
        f"b in {tmp_path}\n  warning: w\na\n3 done · 1.2 s, 10.2 images/s\nfailed: a: no; b: no\n",
        "5 of 9 images, 1.2 images/s, 1 failed\na\n3 done · 0.4 s, 1,234 images/s\n"
        "b in PLACE\n  warning: w\nfailed: b: no; a: no\n",
    ]
    one, other = (lines_of(text.encode(), tmp_path, ordered=False) for text in said)
    assert one == other
    assert lines_of(b"b\na\n", tmp_path, ordered=True) == ["b", "a"]
    assert lines_of(b"imgbatch, version 0.1.0\n", tmp_path, ordered=True) == ["imgbatch, version V"]


def test_rows_are_identified_by_source_and_have_no_times(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    report.write_text(
        '{"source": "a", "status": "done", "seconds": 1}\n{"summary": {"done": 1, "seconds": 2}}\n'
    )
    assert rows_of(report, tmp_path) == {"a": {"status": "done"}, "summary": {"done": 1}}
    assert rows_of(tmp_path / "none", tmp_path) == {}


def test_table_counts_and_marks() -> None:
    one = Comparison("web", 2.0, 3.0, files=5, identical=4, warnings=1)
    one.tell("files", "a.jpg: 1 → 2 bytes")
    head, web, total = table.table([one])
    assert head.split()[:5] == ["recipe", "files", "identical", "differing", "warnings"]
    assert web.split() == ["web", "5", "4", "1", "1", "2.0", "3.0", "1.50", "differs"]
    assert total.split()[:4] == ["all", "5", "4", "1"]
    for number in range(20):
        one.tell("rows", f"row {number}")
    assert "    … and 8 more (--all shows them)" in list(table.differences(one))


# The sides


def test_code_from_elsewhere_is_refused(tmp_path: Path) -> None:
    """Neither the installed package nor that of the working folder may stand in for the side's."""
    side = Side("old", tmp_path, ".")
    side.code.mkdir()
    with pytest.raises(CompareError, match="not its own code"):
        side.check()
    copy_tree(ROOT, side.code)
    side.check()


def test_entry_leaves_the_sources_unchanged(tmp_path: Path) -> None:
    side = Side("new", tmp_path, ".")
    copy_tree(ROOT, side.code)
    plant(side.place, "in/a.jpg")
    found = side.run(Entry("e", ("resize FEW -s 20", "resize FEW --no-such"), jobs=1))
    assert (side.place / "in/a.jpg").read_bytes() == SMALL
    assert list(found.files) == ["in-resized/a.jpg"]
    assert [one.code for one in found.ran] == [0, 2]
    assert list(found.ran[0].rows) == ["in/a.jpg", "summary"]
    own = Entry("own", ("filter ALL --in-place --no-backup --filter invert",), in_place=True)
    assert list(side.run(own).files) == ["in/a.jpg"]
    assert (side.place / "in/a.jpg").read_bytes() == SMALL


# The command


def compare(*words: str | Path, tmp: Path) -> subprocess.CompletedProcess[str]:
    return tool("tools.compare", *words, env={"TMPDIR": str(tmp)})


@pytest.fixture
def checkout() -> None:
    """Skip the test if there is no history to compare with."""
    if not (ROOT / ".git").exists():
        pytest.skip("not in a git checkout")
    try:
        commit_of(ROOT, "HEAD")
    except CompareError as error:
        pytest.skip(f"git does not know this checkout: {error}")


@pytest.mark.slow
@pytest.mark.usefixtures("checkout")
def test_revision_and_tree_are_compared(tmp_path: Path) -> None:
    folder, tmp = plant(tmp_path / "shoot", "a.jpg", "deep/b.jpg"), tmp_path / "tmp"
    tmp.mkdir()
    run = compare("HEAD", folder, "--recipe", "reruns", tmp=tmp)
    # A tree with changes may well differ; then this reports it.
    assert run.returncode in (0, 1), run.stderr
    assert run.stdout.splitlines()[-1].startswith("all")
    # The last command prunes what those before have made.
    assert run.stdout.splitlines()[-1].split()[1] == "2"
    assert ("differs" in run.stdout) == (run.returncode == 1)
    assert list(tmp.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("checkout")
def test_interrupted_comparison_leaves_nothing_behind(tmp_path: Path) -> None:
    folder, tmp = plant(tmp_path / "shoot", "a.jpg"), tmp_path / "tmp"
    tmp.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.compare", "HEAD", str(folder)],
        env=tool_environment({"TMPDIR": str(tmp)}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while not list(tmp.glob("compare-*/*/default")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == command.INTERRUPTED
    assert said == b"interrupted\n"
    assert list(tmp.glob("compare-*")) == []


@pytest.fixture
def _same_handlers() -> Iterator[None]:
    """What is called in this process leaves its signals as they were."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("checkout", "_same_handlers")
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("no-such-revision",), "no-such-revision is not a revision"),
        (("--", "--all"), "--all is not a revision"),
        (("HEAD", "no-such-folder"), "no-such-folder is not a folder"),
        (("HEAD", "--recipe", "no-such"), "no recipe is named no-such; known are default, web"),
        ((), "the following arguments are required: REV"),
    ],
)
def test_wrong_usage_is_reported(
    words: tuple[str, ...],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    try:
        code: object = command.main(words)
    except SystemExit as wrong:
        code = wrong.code
    assert code == 2
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
