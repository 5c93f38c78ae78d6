"""Operations of other packages: the example of docs/extending.md, installed and used."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from commands import imgbatch, plant
from pictures import opened, saved, scene

PAGE: Final = (Path(__file__).parent.parent / "docs/extending.md").read_text(encoding="utf-8")
CODE: Final = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a Python that has the example as `pip install` would leave it."""
    place = tmp_path / "site"
    about = place / "imgbatch_solarize-1.0.dist-info"
    about.mkdir(parents=True)
    (place / "solarize.py").write_text(CODE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: imgbatch-solarize\nVersion: 1\n")
    toml = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
    group, entry = re.findall(r'entry-points\."(.*?)"\]\n(.*?)\n', toml)[0]
    (about / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")
    return {**os.environ, "PYTHONPATH": str(place)}


def test_the_example_is_short() -> None:
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_operation_of_another_package_works_in_workers(
    tmp_path: Path, installed: dict[str, str], jobs: str
) -> None:
    pixels = scene()
    plant(tmp_path / "photos", "a.png", "b.png", data=saved(pixels, "PNG"))
    words = ("filter", "photos", "--filter", "solarize:above=0.25", "-o", "out", "-j", jobs)
    run = imgbatch(*words, cwd=tmp_path, env=installed)
    assert run.returncode == 0, run.stderr.decode()
    expected = np.where(pixels / 255 > 0.25, 255 - pixels, pixels)
    for name in ("a.png", "b.png"):
        made = np.asarray(opened((tmp_path / "out" / name).read_bytes()))
        assert np.array_equal(made, expected)


def test_it_is_listed_checked_and_suggested(tmp_path: Path, installed: dict[str, str]) -> None:
    told = imgbatch("operations", cwd=tmp_path, env=installed).stdout.decode()
    assert re.findall(r"```console\n.*?\n(solarize:.*?)```", PAGE, re.DOTALL)[0] in told
    for words, part in (
        ("solarize:above=2", b"solarize: above: found '2', expected a number from 0 to 1"),
        ("solarise", b"did you mean solarize?"),
    ):
        run = imgbatch("filter", ".", "--filter", words, cwd=tmp_path, env=installed)
        assert run.returncode == 2
        assert part in run.stderr


def test_a_recipe_may_use_it(tmp_path: Path, installed: dict[str, str]) -> None:
    plant(tmp_path / "photos", "a.png", data=saved(scene(), "PNG"))
    (tmp_path / "r.toml").write_text(
        '[[output]]\noperations = [{ name = "solarize", above = 1 }]\n'
    )
    run = imgbatch("run", "r.toml", "photos", "-o", "out", cwd=tmp_path, env=installed)
    assert run.returncode == 0, run.stderr.decode()


def test_a_package_that_cannot_be_loaded_is_named(
    tmp_path: Path, installed: dict[str, str]
) -> None:
    module = Path(installed["PYTHONPATH"]) / "solarize.py"
    module.write_text("import nothing_of_that_name\n")
    run = imgbatch("filter", ".", "--filter", "solarize", cwd=tmp_path, env=installed)
    assert run.returncode == 2
    assert b"the operations of imgbatch-solarize cannot be loaded" in run.stderr
    assert b"nothing_of_that_name" in run.stderr
    # What is imgbatch's own works all the same.
    plant(tmp_path / "photos", "a.jpg")
    run = imgbatch("filter", "photos", "--filter", "invert", cwd=tmp_path, env=installed)
    assert run.returncode == 0
