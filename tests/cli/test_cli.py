"""The command line, through real processes."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import pytest
from click.testing import CliRunner
from toolkit import ROOT, programs
from toolkit.commands import COMMAND, imgbatch, imgbatch_here
from toolkit.folders import SMALL, plant, tree
from toolkit.pictures import opened, saved, scene
from toolkit.pool_tasks import still_alive

from imgbatch.cli.commands import group
from imgbatch.imaging import formats

ONE: Final = ("--jobs", "1")
LARGE: Final = saved(scene(2500, 1000), "JPEG")


def rows(text: bytes) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """A report's rows by their source, and its summary."""
    lines = [json.loads(line) for line in text.splitlines()]
    sources = [line["source"] for line in lines[:-1]]
    assert len(sources) == len(set(sources)), "a source has two rows"
    return {line["source"]: line for line in lines[:-1]}, lines[-1]["summary"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A large picture, a small one in a folder, and a truncated one."""
    folder = plant(tmp_path / "photos", "sub/small.png", data=saved(scene(60, 40), "PNG"))
    plant(folder, "large.jpg", data=LARGE)
    return plant(folder, "broken.jpg", data=SMALL[:-100])


# Commands


@pytest.mark.slow
def test_a_plain_resize_shrinks_to_2048_beside_the_folder_and_spares_originals(
    tmp_path: Path, photos: Path
) -> None:
    (photos / "broken.jpg").unlink()
    before = tree(photos)
    times = {name: (photos / name).stat().st_mtime_ns for name in before}

    run = imgbatch("resize", "photos", cwd=tmp_path)

    assert run.returncode == 0
    assert run.stdout == b""
    assert run.stderr.startswith(b"2 done in photos-resized")
    made = tree(tmp_path / "photos-resized")
    assert {name: opened(data).size for name, data in made.items()} == {
        # 1000 * 2048 / 2500 is 819.2; the small one is not enlarged.
        "large.jpg": (2048, 819),
        "sub/small.png": (60, 40),
    }
    assert tree(photos) == before
    assert {name: (photos / name).stat().st_mtime_ns for name in before} == times


@pytest.mark.slow
def test_convert_changes_the_format_and_keeps_the_size(tmp_path: Path) -> None:
    plant(tmp_path, "photos/sub/a.jpg")

    run = imgbatch("convert", "photos", "-f", "webp", *ONE, cwd=tmp_path)

    assert run.returncode == 0
    (made,) = tree(tmp_path / "photos-converted").items()
    assert made[0] == "sub/a.webp"
    assert (opened(made[1]).format, opened(made[1]).size) == ("WEBP", (60, 40))


@pytest.mark.slow
def test_filters_are_applied_in_order_and_the_size_stays(tmp_path: Path) -> None:
    pixels = scene(60, 40)
    plant(tmp_path, "photos/a.png", data=saved(pixels, "PNG"))

    run = imgbatch(
        *("filter", "photos", "--filter", "invert", "--filter", "brightness:amount=0.5", *ONE),
        cwd=tmp_path,
    )

    assert run.returncode == 0
    made = np.asarray(opened((tmp_path / "photos-filtered/a.png").read_bytes())).astype(np.float64)
    assert made.shape == pixels.shape
    # The other way round it would be 255 - level / 2.
    assert np.abs(made - (255 - pixels.astype(np.float64)) / 2).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "mentioned"),
    [
        ("formats", ["jpeg", ".jpg", "webp", "avif", "tiff"]),
        ("operations", ["grayscale:", "sharpen:", "amount=0.8"]),
        ("--version", ["imgbatch", "0."]),
        ("--help", ["resize", "convert", "filter", "formats", "operations"]),
    ],
)
def test_what_was_asked_for_goes_to_standard_output(
    tmp_path: Path, command: str, mentioned: list[str]
) -> None:
    run = imgbatch(command, cwd=tmp_path)

    assert run.returncode == 0
    assert [word for word in mentioned if word not in run.stdout.decode()] == []
    assert run.stderr == b""


@pytest.mark.slow
def test_several_folders_are_mirrored_below_the_output_under_their_names(tmp_path: Path) -> None:
    plant(tmp_path, "x/one/a.jpg", "y/two/sub/a.jpg", "z.jpg")

    run = imgbatch("resize", "x/one", "y/two", "z.jpg", "-o", "out", *ONE, cwd=tmp_path)

    assert run.returncode == 0
    assert set(tree(tmp_path / "out")) == {"one/a.jpg", "two/sub/a.jpg", "z.jpg"}


@pytest.mark.slow
def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    plant(tmp_path, "photos/a.jpg", "photos/b.png", "out/b.webp")
    before = tree(tmp_path)
    words = ("convert", "photos", "-f", "webp", "-o", "out", "--dry-run")

    skipping = imgbatch_here(*words, "--on-conflict", "skip", cwd=tmp_path)
    refused = imgbatch_here(*words, cwd=tmp_path)

    assert skipping.returncode == 0
    assert skipping.stdout.decode().splitlines() == [
        "photos/a.jpg -> out/a.webp",
        "photos/b.png skipped: already there: out/b.webp",
    ]
    assert refused.returncode == 2
    assert b"photos/b.png refused: out/b.webp exists already" in refused.stdout
    assert tree(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("resize photos -o ok", 0, "1 done in ok"),
        ("resize full", 1, "broken.jpg"),
        ("", 2, "Usage"),
        ("resise photos", 2, "did you mean resize?"),
        ("resize", 2, "PATH"),
        ("resize photos --no-such", 2, "--no-such"),
        ("resize photos -s 0", 2, "'0'"),
        ("resize photos -j 0", 2, "expected 1 or more"),
        ("resize photos --name {stm}{ext}", 2, "did you mean {stem}?"),
        ("resize photos --report no/such/folder", 2, "cannot write the report"),
        ("resize photos --report a.jpg", 2, "names a picture"),
        ("resize gone", 2, "gone"),
        ("resize photos full", 2, "--output DIR"),
        ("resize - -q 9", 2, "--output DIR"),
        ("convert photos", 2, "--format"),
        ("filter photos", 2, "--filter"),
        ("resize photos -o photos", 2, "is the original"),
        ("resize full -o photos", 2, "exists already"),
        ("resize photos --dry-run --report report.jsonl", 2, "omit one"),
        ("resize empty", 3, "no image found in empty"),
        ("resize - -o ok", 3, "no image found in the list"),
    ],
)
def test_exit_codes_and_what_is_said_with_them(
    tmp_path: Path, words: str, code: int, said: str
) -> None:
    plant(tmp_path, "photos/a.jpg", "full/a.jpg")
    plant(tmp_path, "full/broken.jpg", data=SMALL[:-100])
    (tmp_path / "empty").mkdir()
    before = tree(tmp_path)

    run = (imgbatch if code < 2 else imgbatch_here)(*words.split(), cwd=tmp_path)

    assert run.returncode == code
    assert said in run.stderr.decode()
    assert run.stdout == b""
    if code >= 2:
        assert tree(tmp_path) == before


# Reports


@pytest.mark.slow
def test_the_report_has_one_row_a_source_and_the_summary_last(tmp_path: Path, photos: Path) -> None:
    plant(photos, "there.jpg")
    plant(tmp_path, "out/there-web.jpg", "out/there-x10.jpg")
    second = opened(saved(scene(20, 20)[::-1], "GIF"))
    moving = saved(scene(20, 20), "GIF", save_all=True, append_images=[second])
    plant(photos, "moving.gif", data=moving)
    two = saved(scene(60, 20), "MPO", save_all=True, append_images=[opened(saved(scene(), "PNG"))])
    plant(photos, "pair.jpg", data=two)

    run = imgbatch(
        *("resize", "photos", "-o", "out", "-s", "web=30", "-s", "x10", "--on-conflict", "skip"),
        *("--report", "report.jsonl", *ONE),
        cwd=tmp_path,
    )

    by_source, summary = rows((tmp_path / "report.jsonl").read_bytes())
    seconds = [row.pop("seconds") for row in by_source.values()]
    assert all(isinstance(number, float) and number >= 0 for number in seconds)

    def outputs(name: str, suffix: str, kind: str, *sizes: tuple[int, int]) -> list[dict[str, Any]]:
        paths = (f"out/{name}-web{suffix}", f"out/{name}-x10{suffix}")
        return [
            {
                "name": label,
                "path": path,
                "width": width,
                "height": height,
                "bytes": (tmp_path / path).stat().st_size,
                "format": kind,
                **({"copied": True} if (width, height) == (20, 20) else {}),
            }
            for label, path, (width, height) in zip(("web", "x10"), paths, sizes, strict=True)
        ]

    lost_picture = {
        "kind": "gain-map-dropped",
        "message": "a second picture in the file (gain map, preview or other view) was dropped",
    }
    error = by_source["photos/broken.jpg"].pop("error")
    assert by_source == {
        "photos/broken.jpg": {"source": "photos/broken.jpg", "status": "failed"},
        "photos/large.jpg": {
            "source": "photos/large.jpg",
            "status": "done",
            "outputs": outputs("large", ".jpg", "jpeg", (30, 12), (25, 10)),
        },
        "photos/moving.gif": {
            "source": "photos/moving.gif",
            "status": "done",
            "outputs": outputs("moving", ".gif", "gif", (20, 20), (10, 10)),
        },
        "photos/pair.jpg": {
            "source": "photos/pair.jpg",
            "status": "done",
            "outputs": outputs("pair", ".jpg", "jpeg", (30, 10), (30, 10)),
            "warnings": [lost_picture],
        },
        "photos/sub/small.png": {
            "source": "photos/sub/small.png",
            "status": "done",
            "outputs": outputs("sub/small", ".png", "png", (30, 20), (15, 10)),
        },
        "photos/there.jpg": {
            "source": "photos/there.jpg",
            "status": "skipped",
            "reason": "already there: out/there-web.jpg, out/there-x10.jpg",
        },
    }
    assert (error["stage"], error["kind"]) == ("decode", "truncated")
    assert set(error) == {"stage", "kind", "message"}
    assert summary.pop("seconds") > 0
    done = [row for row in by_source.values() if row["status"] == "done"]
    assert summary == {
        "done": 4,
        "skipped": 1,
        "failed": 1,
        "warnings": 1,
        "bytes_in": sum((tmp_path / row["source"]).stat().st_size for row in done),
        "bytes_out": sum(one["bytes"] for row in done for one in row["outputs"]),
        "jobs": 1,
        "exit_code": 1,
    }
    assert run.returncode == 1


@pytest.mark.slow
def test_a_report_on_standard_output_has_it_to_itself(tmp_path: Path, photos: Path) -> None:
    run = imgbatch("resize", "photos", "-s", "30", "--report", "-", "-v", *ONE, cwd=tmp_path)

    by_source, summary = rows(run.stdout)
    assert set(by_source) == {f"photos/{name}" for name in tree(photos)}
    assert (summary["done"], summary["failed"], summary["exit_code"]) == (2, 1, 1)


@pytest.mark.slow
def test_a_truncated_file_fails_alone(tmp_path: Path, photos: Path) -> None:
    run = imgbatch("resize", "photos", "-s", "30", "--jobs", "2", cwd=tmp_path)

    assert run.returncode == 1
    assert set(tree(tmp_path / "photos-resized")) == {"large.jpg", "sub/small.png"}
    assert b"failed: photos/broken.jpg: the file is cut short or damaged" in run.stderr


@pytest.mark.slow
def test_one_process_or_two_make_the_same_files_and_the_same_report(
    tmp_path: Path, photos: Path
) -> None:
    plant(photos, *(f"more/{number}.jpg" for number in range(8)))
    made, told = {}, {}

    for jobs in ("1", "2"):
        run = imgbatch(
            *("resize", "photos", "-s", "50", "-s", "20", "-f", "webp", "-o", "out"),
            *("--filter", "sharpen", "--report", "-", "--jobs", jobs),
            cwd=tmp_path,
        )
        made[jobs] = tree(tmp_path / "out")
        shutil.rmtree(tmp_path / "out")
        by_source, summary = rows(run.stdout)
        assert summary.pop("jobs") == int(jobs)
        for row in (*by_source.values(), summary):
            del row["seconds"]
        told[jobs] = (sorted(by_source.items()), summary)

    assert len(made["1"]) == 20
    assert made["1"] == made["2"]
    assert told["1"] == told["2"]


# Lists and names


AWKWARD: Final = (
    b"plain.jpg",
    b"two\nlines.jpg",
    b"\"quoted\" 'twice'.jpg",
    b"-dash.jpg",
    b"--report.jpg",
    "🏔 été.jpg".encode(),
    b"latin-\xe9\xff.jpg",
    b" spaces .jpg",
    b"back\\slash\t{stem}%d.jpg",
    b"$(touch x);*?.jpg",
    b"L" * 251 + b".jpg",
)


def _awkward_folder(tmp_path: Path) -> bytes:
    folder = os.fsencode(tmp_path / "photos")
    os.mkdir(folder)
    for name in AWKWARD:
        with open(folder + b"/" + name, "wb") as file:
            file.write(SMALL)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_any_name_that_a_file_system_takes_survives(tmp_path: Path, jobs: str) -> None:
    _awkward_folder(tmp_path)

    run = imgbatch(
        *("resize", "photos", "-s", "30", "-o", "out", "-v", "--report", "-", "--jobs", jobs),
        cwd=tmp_path,
    )

    assert run.returncode == 0
    assert set(os.listdir(os.fsencode(tmp_path / "out"))) == {*AWKWARD, b".imgbatch"}
    by_source, _ = rows(run.stdout)
    assert {os.fsencode(path) for path in by_source} == {b"photos/" + name for name in AWKWARD}
    written = {os.fsencode(row["outputs"][0]["path"]) for row in by_source.values()}
    assert written == {b"out/" + name for name in AWKWARD}
    # One line each, whatever is in the names, and the summary.
    assert len(run.stderr.splitlines()) == len(AWKWARD) + 1


@pytest.mark.slow
def test_a_list_with_nul_bytes_takes_any_name(tmp_path: Path) -> None:
    _awkward_folder(tmp_path)

    run = imgbatch(
        *("resize", "-", "--null", "-o", "../out", *ONE),
        cwd=tmp_path / "photos",
        stdin=b"".join(name + b"\0" for name in AWKWARD),
    )

    assert run.returncode == 0
    assert set(os.listdir(os.fsencode(tmp_path / "out"))) == {*AWKWARD, b".imgbatch"}


@pytest.mark.slow
def test_a_list_of_lines_has_a_row_for_each_file_missing_ones_too(tmp_path: Path) -> None:
    plant(tmp_path, "in/a.jpg", "in/sub/b.jpg", "in/odd name")
    os.mkfifo(tmp_path / "in/pipe.jpg")

    run = imgbatch(
        *("resize", "-", "-o", "out", "--report", "-", *ONE),
        cwd=tmp_path,
        stdin=b"in/a.jpg\nin/sub/b.jpg\n\nin/gone.jpg\nin/odd name\nin/pipe.jpg",
    )

    by_source, summary = rows(run.stdout)
    assert {source: row["status"] for source, row in by_source.items()} == {
        "in/a.jpg": "done",
        "in/sub/b.jpg": "done",
        "in/odd name": "done",
        "in/gone.jpg": "failed",
        "in/pipe.jpg": "failed",
    }
    assert by_source["in/gone.jpg"]["error"]["kind"] == "not-found"
    assert run.returncode == summary["exit_code"] == 1
    assert set(tree(tmp_path / "out")) == {"a.jpg", "sub/b.jpg", "odd name.jpg"}


@pytest.mark.slow
def test_a_list_with_nul_bytes_that_is_not_announced_is_a_failed_row(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg", "b.jpg")

    run = imgbatch("resize", "-", "-o", "out", *ONE, cwd=tmp_path, stdin=b"a.jpg\0b.jpg\0")

    assert run.returncode == 1
    assert b"a.jpg\\x00b.jpg" in run.stderr


# Streams


@pytest.mark.slow
@pytest.mark.parametrize(
    ("closing", "jobs"),
    [("2>&-", "1"), ("2>&-", "2"), (">&-", "2"), ("<&-", "2"), ("<&- >&- 2>&-", "2")],
)
def test_closed_streams_are_no_error(tmp_path: Path, closing: str, jobs: str) -> None:
    plant(tmp_path, "photos/a.jpg", "photos/b.jpg")
    closed = ("sh", "-c", f'exec "$@" {closing}', "sh")

    run = imgbatch(
        *("resize", "photos", "-s", "30", "-v", "--report", "-", "--jobs", jobs),
        cwd=tmp_path,
        before=closed,
    )

    assert run.returncode == 0
    made = tree(tmp_path / "photos-resized")
    assert {name: opened(data).size for name, data in made.items()} == {
        "a.jpg": (30, 20),
        "b.jpg": (30, 20),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", ["formats", "operations", "--help", "resize photos --report - -j 1"]
)
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, words: str) -> None:
    plant(tmp_path, "photos/a.jpg", "photos/b.jpg")
    reading, writing = os.pipe()
    os.close(reading)

    run = subprocess.run(
        [*COMMAND, *words.split()],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=300,
        check=False,
    )
    os.close(writing)

    assert run.returncode == 0
    assert b"rror" not in run.stderr
    if words.startswith("resize"):
        assert set(tree(tmp_path / "photos-resized")) == {"a.jpg", "b.jpg"}


@pytest.mark.slow
@pytest.mark.external("sh")
@pytest.mark.parametrize("words", ["formats", "resize photos --report - -j 1"])
def test_output_that_cannot_be_written_is_an_error_without_a_traceback(
    tmp_path: Path, words: str
) -> None:
    plant(tmp_path, "photos/a.jpg")
    full = (programs.path_of("sh"), "-c", 'exec "$@" >/dev/full', "sh")

    run = imgbatch(*words.split(), cwd=tmp_path, before=full)

    assert run.returncode == 1
    assert b"No space left on device" in run.stderr


@pytest.mark.slow
def test_an_empty_environment_is_enough(tmp_path: Path) -> None:
    _awkward_folder(tmp_path)

    run = imgbatch("resize", "photos", "-o", "out", "--jobs", "2", "-v", cwd=tmp_path, env={})

    assert run.returncode == 0
    assert set(os.listdir(os.fsencode(tmp_path / "out"))) == {*AWKWARD, b".imgbatch"}


@pytest.mark.slow
def test_without_a_terminal_there_is_no_bar(tmp_path: Path) -> None:
    plant(tmp_path, "photos/a.jpg")

    (line,) = imgbatch("resize", "photos", *ONE, cwd=tmp_path).stderr.splitlines()

    assert line.startswith(b"1 done in photos-resized")


@pytest.mark.slow
def test_quiet_is_quiet_but_for_failures(tmp_path: Path, photos: Path) -> None:
    failing = imgbatch("resize", "photos", "--quiet", "-o", "one", *ONE, cwd=tmp_path)
    (photos / "broken.jpg").unlink()
    working = imgbatch("resize", "photos", "--quiet", "-o", "two", *ONE, cwd=tmp_path)

    assert (working.returncode, working.stdout, working.stderr) == (0, b"", b"")
    assert (failing.returncode, failing.stdout) == (1, b"")
    (line,) = failing.stderr.splitlines()
    assert line.startswith(b"failed: photos/broken.jpg: ")


@pytest.mark.slow
def test_verbose_has_a_line_for_each_file(tmp_path: Path, photos: Path) -> None:
    run = imgbatch("resize", "photos", "-s", "30", "-v", *ONE, cwd=tmp_path)

    lines = run.stderr.decode().splitlines()
    beginnings = (
        "photos/broken.jpg failed: ",
        "photos/large.jpg -> photos-resized/large.jpg (30 x 12, ",
        "photos/sub/small.png -> photos-resized/sub/small.png (30 x 20, ",
        "2 done, 1 failed in photos-resized",
        "failed: photos/broken.jpg: ",
    )
    assert sorted(sum(line.startswith(one) for line in lines) for one in beginnings) == [1] * 5
    assert len(lines) == 5


RED: Final = b"\x1b[31m"


def _on_terminal(cwd: Path, *words: str, **env: str) -> bytes:
    """What a terminal of 24 rows and 100 columns gets to see."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    clean = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    with subprocess.Popen(
        [*COMMAND, *words], cwd=cwd, stdout=theirs, stderr=theirs, env={**clean, **env}
    ) as run:
        os.close(theirs)
        seen = b""
        while select.select([ours], [], [], 300)[0]:
            try:
                seen += os.read(ours, 65_536)
            except OSError:
                # That is how a terminal says that nobody writes to it any more.
                break
        os.close(ours)
        run.wait(300)
    return seen


@pytest.mark.slow
@pytest.mark.terminal
@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_gets_a_bar_and_red_failures_unless_colour_is_unwanted(
    tmp_path: Path, no_color: bool
) -> None:
    picture = saved(scene(900, 600), "JPEG", quality=95)
    plant(tmp_path, *(f"photos/{number:02}.jpg" for number in range(8)), data=picture)
    # The largest come first, so the failure is known when the bar is drawn.
    plant(tmp_path, "photos/broken.jpg", data=b"nothing" + picture)

    env = {"NO_COLOR": "1"} if no_color else {}
    seen = _on_terminal(tmp_path, "convert", "photos", "-f", "png", *ONE, **env)

    assert b"%" in seen
    assert b"/9 " in seen
    assert b"\r" in seen
    assert b"1 failed" in seen
    assert (RED in seen) is not no_color
    assert b"8 done, 1 failed in photos-converted" in seen


@pytest.mark.slow
@pytest.mark.terminal
def test_a_quiet_run_shows_no_bar_on_a_terminal(tmp_path: Path) -> None:
    plant(tmp_path, "photos/a.jpg")

    assert _on_terminal(tmp_path, "resize", "photos", "--quiet", *ONE) == b""


# Help and documentation

MAKING: Final = ("resize", "convert", "filter")
COMMANDS: Final = (*MAKING, "run", "presets", "formats", "operations")


def _options(command: str) -> list[click.Option]:
    found = group.get_command(click.Context(group), command)
    assert found is not None
    return [one for one in found.params if isinstance(one, click.Option)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained_in_the_commands_help(tmp_path: Path, command: str) -> None:
    shown = " ".join(imgbatch_here(command, "--help", cwd=tmp_path).stdout.decode().split())

    for option in _options(command):
        for word in (*option.opts, *option.secondary_opts):
            assert word in shown
        assert option.help, f"{option.opts} is not explained"
        assert " ".join(option.help.split()[:3]) in shown
    assert set(COMMANDS) == set(group.list_commands(click.Context(group)))


def test_every_option_and_every_command_is_in_the_docs() -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    words = {
        f"`{word}"
        for command in (*MAKING, "run")
        for option in _options(command)
        for word in (*option.opts, *option.secondary_opts)
    } | {f"`imgbatch {command}" for command in COMMANDS}

    assert sorted(word for word in words if word not in page) == []


# Interruption


SLOW: Final = (
    "resize",
    "photos",
    "-s",
    "1200",
    "-f",
    "png",
    "-o",
    "out",
    "--report",
    "report.jsonl",
)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Begin a run that takes long, in a session of its own; return when its first file is there."""
    photos = plant(tmp_path / "photos", "000.jpg", data=LARGE)
    for number in range(1, 80):
        os.link(photos / "000.jpg", photos / f"{number:03}.jpg")
    begun: list[subprocess.Popen[bytes]] = []

    def run(*words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*COMMAND, *SLOW, *words], cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True
        )
        begun.append(process)
        patience = time.monotonic() + 300
        while not list(tmp_path.glob("out/*.png")):
            assert process.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.01)
        return process

    yield run
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_lets_the_files_in_hand_finish(
    tmp_path: Path,
    begin: Callable[..., subprocess.Popen[bytes]],
    number: signal.Signals,
    jobs: str,
) -> None:
    run = begin("--jobs", jobs)

    # A terminal sends its signal to everybody in front of it, a supervisor to the one it knows.
    if number == signal.SIGINT:
        os.killpg(run.pid, number)
    else:
        run.send_signal(number)
    _, said = run.communicate(timeout=300)

    assert run.returncode == -number
    by_source, summary = rows((tmp_path / "report.jsonl").read_bytes())
    made = tree(tmp_path / "out")
    assert all(opened(data).size == (1200, 480) for data in made.values())
    assert set(made) == {f"{Path(source).stem}.png" for source in by_source}
    assert 0 < len(made) == summary["done"] < 80
    assert summary["exit_code"] == 128 + number
    assert f"{len(made)} done in out" in said.decode()
    assert f"interrupted: {80 - len(made)} not done" in said.decode()
    assert b"Traceback" not in said
    assert still_alive(run.pid) == []


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_second_signal_stops_at_once_and_leaves_whole_files_only(
    tmp_path: Path, begin: Callable[..., subprocess.Popen[bytes]], jobs: str
) -> None:
    run = begin("--jobs", jobs)
    assert run.stderr is not None

    os.killpg(run.pid, signal.SIGINT)
    first = run.stderr.readline()
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=300)

    assert b"once more to stop at once" in first
    assert run.returncode == -signal.SIGINT
    assert b"interrupted: " in said
    assert b"Traceback" not in said
    made = tree(tmp_path / "out")
    assert all(name.endswith(".png") for name in made)
    assert all(opened(data).size == (1200, 480) for data in made.values())
    assert len(made) < 80
    assert still_alive(run.pid) == []


# Formats


def test_formats_tells_what_is_here_and_what_it_takes_to_have_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told(*missing: str) -> str:
        monkeypatch.setattr(formats, "installed", lambda extra: extra not in missing)
        return CliRunner().invoke(group, ["formats"]).stdout

    all_here, none_here = told(), told("heif", "raw", "deep")
    assert "pip install" not in all_here
    assert "16-bit colour" in all_here
    assert "16-bit colour" not in none_here
    for extra in ("heif", "raw", "deep"):
        assert f"pip install 'imgbatch[{extra}]'" in none_here
        assert f"pip install 'imgbatch[{extra}]'" not in told()
    for row in formats.FORMATS:
        assert row.label in all_here
        assert all(suffix in none_here for suffix in (*row.suffixes, *row.read_suffixes))
        assert all(f"--{word.replace('_', '-')}" in all_here for word in row.settings)
