"""The command line, run in real processes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from toolkit.commands import imgbatch, imgbatch_here
from toolkit.folders import SMALL, plant, tree
from toolkit.pictures import opened, saved, scene
from toolkit.reports import AWKWARD, ONE, awkward_folder, rows, told

from imgbatch.cli.commands import group
from imgbatch.imaging import formats

# Commands


@pytest.mark.slow
def test_plain_resize_shrinks_to_2048_next_to_the_folder_and_keeps_originals(
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
def test_convert_changes_format_and_keeps_size(tmp_path: Path) -> None:
    plant(tmp_path, "photos/sub/a.jpg")

    run = imgbatch("convert", "photos", "-f", "webp", *ONE, cwd=tmp_path)

    assert run.returncode == 0
    (made,) = tree(tmp_path / "photos-converted").items()
    assert made[0] == "sub/a.webp"
    assert (opened(made[1]).format, opened(made[1]).size) == ("WEBP", (60, 40))


@pytest.mark.slow
def test_filters_apply_in_order_and_keep_size(tmp_path: Path) -> None:
    pixels = scene(60, 40)
    plant(tmp_path, "photos/a.png", data=saved(pixels, "PNG"))

    run = imgbatch(
        *("filter", "photos", "--filter", "invert", "--filter", "brightness:amount=0.5", *ONE),
        cwd=tmp_path,
    )

    assert run.returncode == 0
    made = np.asarray(opened((tmp_path / "photos-filtered/a.png").read_bytes())).astype(np.float64)
    assert made.shape == pixels.shape
    # In the other order it would be 255 - level / 2.
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
def test_requested_text_goes_to_standard_output(
    tmp_path: Path, command: str, mentioned: list[str]
) -> None:
    run = imgbatch(command, cwd=tmp_path)

    assert run.returncode == 0
    assert [word for word in mentioned if word not in run.stdout.decode()] == []
    assert run.stderr == b""


@pytest.mark.slow
def test_several_folders_are_mirrored_below_the_output_by_name(tmp_path: Path) -> None:
    plant(tmp_path, "x/one/a.jpg", "y/two/sub/a.jpg", "z.jpg")

    run = imgbatch("resize", "x/one", "y/two", "z.jpg", "-o", "out", *ONE, cwd=tmp_path)

    assert run.returncode == 0
    assert set(tree(tmp_path / "out")) == {"one/a.jpg", "two/sub/a.jpg", "z.jpg"}


@pytest.mark.slow
def test_dry_run_shows_the_plan_and_writes_nothing(tmp_path: Path) -> None:
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
        ("resize photos --report photos/a.jpg/report", 2, "cannot write the report"),
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
def test_exit_codes_and_their_messages(tmp_path: Path, words: str, code: int, said: str) -> None:
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
def test_report_has_one_row_per_source_then_the_summary(tmp_path: Path, photos: Path) -> None:
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
def test_report_on_standard_output_has_it_to_itself(tmp_path: Path, photos: Path) -> None:
    run = imgbatch("resize", "photos", "-s", "30", "--report", "-", "-v", *ONE, cwd=tmp_path)

    by_source, summary = rows(run.stdout)
    assert set(by_source) == {f"photos/{name}" for name in tree(photos)}
    assert (summary["done"], summary["failed"], summary["exit_code"]) == (2, 1, 1)


@pytest.mark.slow
def test_truncated_file_fails_alone(tmp_path: Path, photos: Path) -> None:
    run = imgbatch("resize", "photos", "-s", "30", "--jobs", "2", cwd=tmp_path)

    assert run.returncode == 1
    assert set(tree(tmp_path / "photos-resized")) == {"large.jpg", "sub/small.png"}
    assert b"failed: photos/broken.jpg: the file is cut short or damaged" in run.stderr


@pytest.mark.slow
def test_one_process_or_two_give_identical_files_and_report(tmp_path: Path, photos: Path) -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_any_name_a_file_system_allows_survives(tmp_path: Path, jobs: str) -> None:
    awkward_folder(tmp_path)

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
    # One line each, whatever the names contain, and the summary.
    assert len(told(run.stderr)) == len(AWKWARD) + 1


@pytest.mark.slow
def test_nul_separated_list_takes_any_name(tmp_path: Path) -> None:
    awkward_folder(tmp_path)

    run = imgbatch(
        *("resize", "-", "--null", "-o", "../out", *ONE),
        cwd=tmp_path / "photos",
        stdin=b"".join(name + b"\0" for name in AWKWARD),
    )

    assert run.returncode == 0
    assert set(os.listdir(os.fsencode(tmp_path / "out"))) == {*AWKWARD, b".imgbatch"}


@pytest.mark.slow
def test_line_list_has_a_row_for_each_file_even_if_missing(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("names", [b"a.jpg\0b.jpg\0", b"in/a.jpg\0in/b.jpg"])
def test_nul_separated_list_without_the_option_is_refused(tmp_path: Path, names: bytes) -> None:
    plant(tmp_path, "a.jpg", "b.jpg", "in/a.jpg", "in/b.jpg")

    run = imgbatch_here("resize", "-", "-o", "out", *ONE, cwd=tmp_path, stdin=names)

    assert run.returncode == 2
    assert b"add --null" in run.stderr


# Formats


def test_formats_lists_what_is_available_and_how_to_get_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def listing(*missing: str) -> str:
        monkeypatch.setattr(formats, "installed", lambda extra: extra not in missing)
        return CliRunner().invoke(group, ["formats"]).stdout

    all_here, none_here = listing(), listing("heif", "raw", "jxl", "deep")
    assert "pip install" not in all_here
    assert "16-bit colour" in all_here
    assert "16-bit colour" not in none_here
    for extra in ("heif", "raw", "jxl", "deep"):
        assert f"pip install 'imgbatch[{extra}]'" in none_here
        assert f"pip install 'imgbatch[{extra}]'" not in listing()
    for row in formats.FORMATS:
        assert row.label in all_here
        assert all(suffix in none_here for suffix in (*row.suffixes, *row.read_suffixes))
        assert all(f"--{word.replace('_', '-')}" in all_here for word in row.settings)
