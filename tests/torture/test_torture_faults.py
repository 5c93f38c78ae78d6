"""A sample of what `scripts/tool torture --faults` does: one failing call per run."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from toolkit.commands import tool
from toolkit.forked import Forks
from torture import tracing
from torture.arena import Arena
from torture.faults import Fault, possible, spread
from torture.judging import judge_at_once, judge_the_rerun
from torture.ordeals import Verdict
from torture.scenes import REPORT, SCENES, Shape, Stage, lane
from torture.tracing import Call
from torture.trials import all_tried, recorded

SEED: Final = 13
# Sixty together; those with workers take a second each.
SAMPLE: Final[dict[tuple[str, Shape], int]] = {
    ("new", "serial"): 8,
    ("remake", "serial"): 7,
    ("two", "serial"): 7,
    ("place", "serial"): 9,
    ("lying", "serial"): 5,
    ("overwrite", "serial"): 5,
    ("dead", "serial"): 5,
    ("nolinks", "serial"): 4,
    ("nolinksplace", "serial"): 4,
    ("two", "pool"): 3,
    ("place", "pool"): 3,
}


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    forks = lane(Arena(tmp_path_factory.mktemp("forks")).environment_of())
    yield forks
    forks.close()


@pytest.fixture
def strace() -> None:
    if trouble := tracing.trouble():
        pytest.skip(trouble)


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize(("scene", "shape"), SAMPLE, ids=["-".join(key) for key in SAMPLE])
def test_whatever_call_fails_no_file_is_lost_or_partial_and_a_rerun_completes(
    tmp_path: Path, forks: Forks, scene: str, shape: Shape
) -> None:
    count = SAMPLE[scene, shape]
    choice = partial(spread, count=count, chance=random.Random(f"{SEED} {scene} {shape}"))

    trials = list(all_tried(tmp_path, [forks], SCENES[scene], shape, choice))

    assert {
        str(trial.fault): trial.verdict.wrong() for trial in trials if trial.verdict.wrong()
    } == {}
    struck = [trial for trial in trials if trial.verdict.strikes]
    assert len(trials) == count
    # With several workers, the traced one may have less to do each time.
    assert shape == "pool" or len(struck) == count


# Whether the ordeal itself would notice


def half_an_output(stage: Stage) -> None:
    output = stage.place / "out/sub/a.jpg"
    output.write_bytes(output.read_bytes()[:400])


def another_output(stage: Stage) -> None:
    output = stage.place / "out/sub/a.jpg"
    stat = output.stat()
    output.write_bytes(output.read_bytes()[:-2] + b"..")
    os.utime(output, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def no_output(stage: Stage) -> None:
    (stage.place / "out/sub/a.jpg").unlink()


def a_changed_original(stage: Stage) -> None:
    (stage.place / "photos/a.jpg").write_bytes(b"changed")


def no_original(stage: Stage) -> None:
    (stage.place / "photos/a.jpg").unlink()


def a_changed_stranger(stage: Stage) -> None:
    (stage.place / "out/foreign.txt").write_bytes(b"changed")


def a_temporary_file(stage: Stage) -> None:
    (stage.place / "out/sub/.imgbatch-12345678-123456789012.tmp").touch()


def another_row(stage: Stage) -> None:
    change_report(stage, 1, lambda row: row.update(status="failed"))


def no_row(stage: Stage) -> None:
    report = stage.place / REPORT
    header, _, summary = report.read_text().splitlines(keepends=True)
    report.write_text(header + summary)


def another_count(stage: Stage) -> None:
    change_report(stage, -1, lambda row: row["summary"].update(done=2))


def another_code(stage: Stage) -> None:
    change_report(stage, -1, lambda row: row["summary"].update(exit_code=1))


def change_report(stage: Stage, line: int, change: Callable[[Any], None]) -> None:
    report = stage.place / REPORT
    rows = [json.loads(row) for row in report.read_text().splitlines()]
    change(rows[line])
    report.write_text("".join(json.dumps(row) + "\n" for row in rows))


DEEDS: Final = (
    *(
        half_an_output,
        another_output,
        no_output,
        a_changed_original,
        no_original,
        a_changed_stranger,
    ),
    *(a_temporary_file, another_row, no_row, another_count, another_code),
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"), forks, SCENES["new"], "serial")


HARMLESS: Final = Fault("write", 1, "EINTR", "new", "serial", "job")
HIT: Final = Call("write", 1, "", ("out/sub/NAMELESS",), -1, "EINTR")


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: str(deed.__name__))
def test_misdeeds_of_a_run_are_noticed(stage: Stage, deed: Any) -> None:
    stage.set_up()
    ended = stage.play()
    honest, found = Verdict(), Verdict()
    judge_at_once(stage, ended, HARMLESS, HIT, honest)

    deed(stage)
    judge_at_once(stage, ended, HARMLESS, HIT, found)

    assert honest.wrong() == []
    assert found.wrong() != []


@pytest.mark.parametrize(
    "deed", [another_output, a_changed_original, a_changed_stranger, a_temporary_file]
)
def test_omissions_of_a_rerun_are_noticed(stage: Stage, deed: Any) -> None:
    stage.set_up()
    ended = stage.play()
    deed(stage)
    found = Verdict()

    judge_the_rerun(stage, ended, found)

    assert found.wrong() != []


def test_needless_work_of_a_rerun_is_noticed(stage: Stage) -> None:
    stage.set_up()
    ended = stage.play()
    made = stage.place / "out/sub/a.jpg"
    os.utime(stage.place / "photos/a.jpg", ns=(0, 0))
    found = Verdict()

    before = made.stat().st_ino
    judge_the_rerun(stage, ended, found)

    assert made.stat().st_ino != before
    assert [line for line in found.wrong() if "was made again" in line]


# What strace writes


STRACE: Final = """\
openat(AT_FDCWD<PLACE>, "photos/a.jpg", O_RDONLY|O_CLOEXEC) = 3<PLACE/photos/a.jpg>
openat(AT_FDCWD<PLACE>, "out", O_RDWR|O_CLOEXEC|O_TMPFILE, 0666) = 5<PLACE/out/#12>(deleted)
write(5<PLACE/out/#12>(deleted), ""..., 983) = 983
linkat(5<PLACE/out/#12>(deleted), "/proc/self/fd/5", AT_FDCWD<PLACE>, "out/a.jpg", \
AT_SYMLINK_FOLLOW) = -1 EIO (Input/output error) (INJECTED)
pwrite64(4<PLACE/out/.imgbatch/journal.sqlite>, ""..., 4096, 8192) = ?
rename("out/.imgbatch-0a1b-22cc.tmp", "out/a.jpg" <unfinished ...>) = ?
unlinkat(4</tmp/pymp-1>, "listener", 0) = 0
write(7<pipe:[12]>, ""..., 4) = 4
+++ killed by SIGKILL +++
"""


def test_calls_are_parsed_with_their_paths_and_without_random_parts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(STRACE.replace("PLACE", str(tmp_path)))

    found = tracing.calls(log, tmp_path)

    assert [(call.name, call.nth, call.paths, call.result, call.error) for call in found] == [
        ("openat", 1, ("photos/a.jpg",), 3, None),
        ("openat", 2, ("out",), 5, None),
        ("write", 1, ("out/NAMELESS",), 983, None),
        ("linkat", 1, ("out/NAMELESS", "out/a.jpg"), -1, "EIO"),
        ("pwrite64", 1, ("out/.imgbatch/journal.sqlite",), None, None),
        ("rename", 1, ("out/TEMPORARY", "out/a.jpg"), None, None),
        ("unlinkat", 1, (), 0, None),
        ("write", 2, (), 4, None),
    ]
    assert [call.matters for call in found] == [False, *[True] * 5, False, False]
    assert [call.is_nameless for call in found][1:3] == [True, False]
    assert (found[2].start, found[2].end) == (0, 983)
    assert (found[4].start, found[4].end) == (8192, 8192 + 4096)


KINDS_OF_CALLS: Final = ("openat", "write", "fsync", "chmod", "chown", "link", "rename")


@pytest.mark.usefixtures("strace")
def test_every_publishing_call_is_found(tmp_path: Path, forks: Forks) -> None:
    stage = Stage(tmp_path, forks, SCENES["place"], "serial")

    made = recorded(stage, "job")

    # Their names differ between architectures: renameat, fchmodat.
    names = " ".join(call.name for call in made)
    assert [kind for kind in KINDS_OF_CALLS if kind not in names] == []
    assert "(photos/TEMPORARY, photos/a.jpg)" in " ".join(map(str, made))
    found = list(possible(stage, "job", made))
    assert len(set(found)) == len(found) > 5 * len(made)
    assert [Fault.parsed(str(fault)) for fault in found] == found
    # A few of them already cover every kind.
    few = spread(found, 2 * len(made), random.Random(SEED))
    assert {fault.name for fault in few} == {call.name for call in made}
    assert {fault.error for fault in few} == {fault.error for fault in found}


@pytest.mark.usefixtures("strace")
def test_tool_repeats_a_fault_by_its_name() -> None:
    fault = "linkat:1:EIO:new-serial-job"

    run = tool("tools.torture", "--faults", "--only", fault)

    assert (run.returncode, run.stderr.splitlines()[-1]) == (
        0,
        "new-serial is done: 1 faults tried, 0 wrong",
    )
    assert "1 faults tried, 0 wrong" in run.stdout
    nowhere = tool("tools.torture", "--faults", "--scene", "nowhere-pool")
    assert "--scene: there are new-serial, " in nowhere.stderr
