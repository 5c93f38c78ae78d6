"""The parts of scripts/tool bench that could be wrong without anybody noticing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench import memory, photos, plot, quality, reference, results, tables, works
from bench.peers import BY_NAME
from bench.results import Results, Row, Tool
from bench.task import Place, Task
from bench.works import Make
from PIL import Image
from toolkit import ROOT, programs
from toolkit.commands import imgbatch


def noise(height: int, width: int) -> reference.Floats:
    return np.random.default_rng(height).uniform(0, 255, (height, width))


def row(name: str = "1", **walls: list[float]) -> Row:
    tools = [Tool(tool, "1.0", 2, found, found) for tool, found in walls.items()]
    return Row(name, 100, 80, 600_000_000, tools)


# The reference ------------------------------------------------------------------------------


def test_lanczos_is_the_sum_over_all_source_pixels() -> None:
    values = noise(1, 50)

    made = reference.resampled(values, (13, 1))[0]

    scale = 50 / 13
    for column in range(13):
        places = (np.arange(50) + 0.5 - (column + 0.5) * scale) / scale
        weights = np.sinc(places) * np.sinc(places / 3) * (np.abs(places) < 3)
        expected = (values[0] * weights).sum() / weights.sum()
        assert made[column] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("size", [(70, 41), (200, 110), (300, 25)])
def test_lanczos_matches_pillow(size: tuple[int, int]) -> None:
    values = noise(90, 210)
    image = Image.fromarray(values.astype(np.float32))

    expected = np.asarray(image.resize(size, Image.Resampling.LANCZOS))

    assert np.abs(reference.resampled(values, size) - expected).max() < 0.01


def test_reference_is_upright_and_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 4), np.uint8)
    pixels[:20, :, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    dark_left = np.repeat(np.repeat([[0, 255]], 30, 1), 40, 0).astype(np.uint8)
    Image.fromarray(dark_left).save(tmp_path / "turned.jpg", exif=exif, quality=100)

    cut = reference.luma(tmp_path / "cut.png", (30, 20))
    turned = reference.luma(tmp_path / "turned.jpg", (40, 60))

    assert cut[2].max() < 1
    assert cut[-2].min() > 254
    # A quarter turn clockwise: the left side is on top.
    assert turned[:25].max() < 10
    assert turned[-25:].min() > 245


def test_ssim_matches_the_definition() -> None:
    one, other = noise(23, 31), noise(23, 31) * 0.5 + noise(24, 31)[:23] * 0.5
    across = np.arange(-5, 6)
    window = np.exp(-(across[:, None] ** 2 + across[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for top in range(23 - 10):
        for left in range(31 - 10):
            a, b = (values[top : top + 11, left : left + 11] for values in (one, other))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            spread_a = (window * (a - mean_a) ** 2).sum()
            spread_b = (window * (b - mean_b) ** 2).sum()
            both = (window * (a - mean_a) * (b - mean_b)).sum()
            first = (2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025)
            found.append(first * (2 * both + 58.5225) / (spread_a + spread_b + 58.5225))

    assert reference.ssim(one, other) == pytest.approx(np.mean(found), abs=1e-9)


def test_ssim_does_not_depend_on_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = noise(300, 40), noise(301, 40)[:300]
    whole = reference.ssim(one, other)

    monkeypatch.setattr(reference, "_STRIP", 7)

    assert reference.ssim(one, other) == pytest.approx(whole, abs=1e-12)
    assert reference.ssim(one, one) == pytest.approx(1)


def test_psnr_of_one_level() -> None:
    assert reference.psnr(noise(9, 9), noise(9, 9) + 1) == pytest.approx(48.1308, abs=1e-4)
    assert reference.psnr(noise(9, 9), noise(9, 9)) == float("inf")


# Checking outputs ---------------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, ...]:
    folder = tmp_path / "sources"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x010F] = "Imaginary"
    rows, columns = np.mgrid[0:160, 0:240]
    wave = 128 + 100 * np.sin(columns / 9) * np.cos(rows / 7)
    image = Image.fromarray(np.repeat(wave[..., None], 3, 2).astype(np.uint8))
    for number in range(2):
        image.save(folder / f"{number:04}.jpg", quality=95, exif=exif)
    return tuple(sorted(folder.iterdir()))


def checked(sources: tuple[Path, ...], out: Path, **options: object) -> quality.Verdict:
    make = Make((120,))
    out.mkdir()
    for source in sources:
        with Image.open(source) as image:
            small = image.resize((120, 80), Image.Resampling.LANCZOS)
            small.save(out / source.name, **{"exif": image.info["exif"], **options})
    references = quality.make_references(sources, make)
    return quality.check(references, [[out / source.name] for source in sources], make)


def test_good_outputs_pass(sources: tuple[Path, ...], tmp_path: Path) -> None:
    verdict = checked(sources, tmp_path / "out", quality=90, subsampling="4:2:0")

    assert not verdict.problem
    assert verdict.notes == ()
    assert verdict.least_db is not None
    assert verdict.least_db > 35
    assert verdict.least_ssim is not None
    assert verdict.least_ssim > 0.97


def test_shortcuts_of_a_tool_are_noted(sources: tuple[Path, ...], tmp_path: Path) -> None:
    verdict = checked(sources, tmp_path / "out", exif=b"", subsampling=0)

    assert verdict.notes == ("not 4:2:0", "drops EXIF")


def test_wrong_outputs_are_a_problem(sources: tuple[Path, ...], tmp_path: Path) -> None:
    make = Make((120,))
    references = quality.make_references(sources, make)
    missing = [[tmp_path / source.name] for source in sources]
    unresized = [[source] for source in sources]
    black = tmp_path / "black.jpg"
    Image.new("RGB", (120, 80)).save(black)

    assert "missing" in quality.check(references, missing, make).problem
    assert "240 x 160, expected 120 x 80" in quality.check(references, unresized, make).problem
    assert "PSNR" in quality.check(references, [[black], [black]], make).problem


# Rows, tools and tables ---------------------------------------------------------------------


def test_rows_are_chosen_by_name() -> None:
    assert [work.row for work in works.chosen("1, 5,6b")] == ["1", "5a", "5b", "5c", "6b"]
    assert works.chosen("all") == works.WORKS
    with pytest.raises(KeyError, match="14"):
        works.chosen("1,14")


def test_every_tool_of_every_row_exists() -> None:
    assert {name for work in works.WORKS for name in work.tools} <= set(BY_NAME)
    assert all(name in work.peers for work in works.WORKS for name, _ in work.unfair)


@pytest.mark.slow
@pytest.mark.parametrize("work", works.WORKS, ids=lambda work: work.row)
def test_imgbatch_does_the_work_of_every_row(
    work: works.Work, sources: tuple[Path, ...], tmp_path: Path
) -> None:
    sizes = tuple(size // 20 for size in work.make.sizes)
    task = Task(sources, tmp_path / "out", replace(work.make, sizes=sizes), 1)
    peer = BY_NAME["imgbatch"]
    place = Place(tmp_path)
    command = peer.command(place, task)

    assert command.argv[:3] == (place.python, "-m", "imgbatch")
    run = imgbatch(*command.argv[3:], cwd=command.folder or ROOT)
    assert run.returncode == 0, run.stderr

    wanted = {
        peer.output(task, source, size) for source in sources for size in task.make.sizes or (None,)
    }
    assert wanted <= {path.name for path in task.out.iterdir()}


def test_best_peer_is_fair_and_fast() -> None:
    found = row(imgbatch=[2.0, 3.0], sharp=[4.0, 4.0], gm=[1.0, 1.0], imgp=[0.5, 0.5])
    found.tools[2].unfair = "drops EXIF"
    found.tools[3].problem = "exit code 1"

    assert found.best is found.tools[1]
    assert found.ratios(found.tools[1]) == [0.5, 0.75]


@pytest.mark.parametrize(
    ("name", "tools", "reached"),
    [
        ("1", {"imgbatch": [0.8], "sharp": [1.0]}, "yes"),
        ("1", {"imgbatch": [0.81], "sharp": [1.0]}, "no"),
        ("13", {"imgbatch-1": [1.95], "imgbatch": [1.0]}, "yes"),
        ("13", {"imgbatch-1": [1.8], "imgbatch": [1.0]}, "no"),
        ("1", {"imgbatch": [1.0], "sharp": []}, "-"),
    ],
)
def test_goals(name: str, tools: dict[str, list[float]], reached: str) -> None:
    text = tables.summary(Results(rows={name: row(name, **tools)}), markdown=True)

    line = dict(
        zip(*(map(str.strip, text.splitlines()[at].split("|")) for at in (0, 2)), strict=True)
    )
    assert line["reached"] == reached


def test_larger_files_reach_no_goal() -> None:
    found = row("6a", imgbatch=[1.0], sharp=[2.0])
    found.tools[0].bytes, found.tools[1].bytes = 104, 100

    assert "no (size 1.040)" in tables.summary(Results(rows={"6a": found}), markdown=False)


def test_results_survive_saving_and_can_be_merged(tmp_path: Path) -> None:
    first = Results(["a machine"], {"1": row(imgbatch=[1.0]), "2": row("2", imgbatch=[2.0])})
    second = Results(["a machine"], {"2": row("2", imgbatch=[3.0], sharp=[4.0])})
    for number, one in enumerate((first, second)):
        results.write(one, tmp_path / f"{number}.json")
    (tmp_path / "bad.json").write_text("[]")

    joined = results.read([tmp_path / "0.json", tmp_path / "1.json"])

    assert joined == Results(["a machine"], {"1": first.rows["1"], "2": second.rows["2"]})
    with pytest.raises(results.UnreadableError, match=r"bad\.json"):
        results.read([tmp_path / "bad.json"])


def test_chart_has_a_bar_for_each_tool(tmp_path: Path) -> None:
    found = Results(rows={"1": row(imgbatch=[5.0], sharp=[10.0], gm=[20.0])})
    plot.draw(found, tmp_path / "chart.png")

    with Image.open(tmp_path / "chart.png") as image:
        colours = {colour: count for count, colour in image.getcolors(100_000) or []}
        assert image.width == 1200
    ours, others = ((0xD1, 0x49, 0x5B), (0x8F, 0xA3, 0xB0))
    # Half as long and a quarter as long: together three quarters of it.
    assert colours[others] / colours[ours] == pytest.approx(0.75, abs=0.01)
    with pytest.raises(plot.NothingToPlotError):
        plot.draw(Results(rows={"2": row("2", imgbatch=[5.0])}), tmp_path / "none.png")


# Photos and memory --------------------------------------------------------------------------


def test_photos_are_repeated_if_there_are_too_few(
    sources: tuple[Path, ...], tmp_path: Path
) -> None:
    chosen = photos.select(sources[0].parent, 5, tmp_path)

    assert len(chosen) == 5
    assert len({photo.stat().st_ino for photo in chosen}) == 2
    assert photos.select(sources[0].parent, 5, tmp_path) == chosen
    # The user's own files are not counted.
    assert not {photo.stat().st_ino for photo in chosen} & {one.stat().st_ino for one in sources}


@pytest.mark.slow
@pytest.mark.external("sh")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_session_includes_its_children() -> None:
    code = "import time; block = bytearray(80_000_000); print(flush=True); time.sleep(600)"
    script = f'"{sys.executable}" -c "{code}"; true'
    with subprocess.Popen(
        [programs.path_of("sh"), "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        ended = threading.Event()
        threading.Timer(0.3, ended.set).start()
        most = memory.peak(process.pid, ended)
        os.killpg(process.pid, 9)

    assert 80e6 < most < 200e6
