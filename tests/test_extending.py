"""Operations from other packages: the example in docs/extending.md, installed and used."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from toolkit import ROOT
from toolkit.commands import imgbatch
from toolkit.folders import plant
from toolkit.pictures import opened, saved, scene

PAGE: Final = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
CODE: Final = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which Python finds the example as `pip install` would leave it."""
    place = tmp_path / "site"
    about = place / "imgbatch_solarize-1.0.dist-info"
    about.mkdir(parents=True)
    (place / "solarize.py").write_text(CODE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: imgbatch-solarize\nVersion: 1\n")
    toml = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
    group, entry = re.findall(r'entry-points\."(.*?)"\]\n(.*?)\n', toml)[0]
    (about / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")
    return {**os.environ, "PYTHONPATH": str(place)}


def test_example_is_short() -> None:
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 15


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_external_operation_works_in_workers(
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


@pytest.mark.slow
def test_external_operation_is_listed_checked_and_suggested(
    tmp_path: Path, installed: dict[str, str]
) -> None:
    told = imgbatch("operations", cwd=tmp_path, env=installed).stdout.decode()
    assert re.findall(r"```console\n.*?\n(solarize:.*?)```", PAGE, re.DOTALL)[0] in told
    for words, part in (
        ("solarize:above=2", b"solarize: above: found '2', expected a number from 0 to 1"),
        ("solarise", b"did you mean solarize?"),
    ):
        run = imgbatch("filter", ".", "--filter", words, cwd=tmp_path, env=installed)
        assert run.returncode == 2
        assert part in run.stderr


@pytest.mark.slow
def test_recipe_may_use_external_operation(tmp_path: Path, installed: dict[str, str]) -> None:
    plant(tmp_path / "photos", "a.png", data=saved(scene(), "PNG"))
    (tmp_path / "r.toml").write_text(
        '[[output]]\noperations = [{ name = "solarize", above = 1 }]\n'
    )
    run = imgbatch("run", "r.toml", "photos", "-o", "out", cwd=tmp_path, env=installed)
    assert run.returncode == 0, run.stderr.decode()


@pytest.mark.slow
def test_unloadable_package_is_named(tmp_path: Path, installed: dict[str, str]) -> None:
    module = Path(installed["PYTHONPATH"]) / "solarize.py"
    module.write_text("import nothing_of_that_name\n")
    run = imgbatch("filter", ".", "--filter", "solarize", cwd=tmp_path, env=installed)
    assert run.returncode == 2
    assert b"the operations of imgbatch-solarize cannot be loaded" in run.stderr
    assert b"nothing_of_that_name" in run.stderr
    # imgbatch's own operations still work.
    plant(tmp_path / "photos", "a.jpg")
    run = imgbatch("filter", "photos", "--filter", "invert", cwd=tmp_path, env=installed)
    assert run.returncode == 0


BROKEN: Final = b"the operations of imgbatch-solarize cannot be loaded (solarize): "


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    ["import nothing_of_that_name\n", "raise SystemExit('no')\n", f"{CODE}\n\n1 / 0\n"],
    ids=["an import", "an exit", "behind its operation"],
)
def test_unloadable_package_is_omitted_from_lists_and_suggestions(
    tmp_path: Path, installed: dict[str, str], code: str
) -> None:
    (Path(installed["PYTHONPATH"]) / "solarize.py").write_text(code)
    run = imgbatch("operations", cwd=tmp_path, env=installed)
    assert run.returncode == 0
    assert b"\nsharpen: " in run.stdout
    assert b"solarize" not in run.stdout
    (line,) = run.stderr.splitlines()
    assert line.startswith(b"imgbatch: " + BROKEN)
    run = imgbatch("operations", "sharpen", cwd=tmp_path, env=installed)
    assert (run.returncode, run.stderr) == (0, b"")
    run = imgbatch("filter", ".", "--filter", "sharpn", cwd=tmp_path, env=installed)
    assert run.returncode == 2
    # The unknown name may well be an operation of that package.
    assert b"did you mean sharpen?; " + BROKEN in run.stderr
    for words in (("operations", "solarize"), ("filter", ".", "--filter", "Solarize:above=1")):
        run = imgbatch(*words, cwd=tmp_path, env=installed)
        assert run.returncode == 2
        assert run.stderr.startswith(b"imgbatch: " + BROKEN)


CURVE: Final = "return 1 - value if value > self.above else value"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (CODE.replace(CURVE, "return value / 0"), "ZeroDivisionError: float division by zero"),
        (CODE.replace(CURVE, "return float('nan')"), "ValueError: a level became NaN"),
        (
            CODE[: CODE.index("    def level")],
            "TypeError: Solarize has neither `level` nor `curves`",
        ),
    ],
    ids=["an exception", "no number", "no curve"],
)
@pytest.mark.parametrize("beside", [(), ("--filter", "gamma", "--filter", "invert")])
def test_external_operation_errors_carry_its_name_joined_or_not(
    tmp_path: Path, installed: dict[str, str], code: str, message: str, beside: tuple[str, ...]
) -> None:
    (Path(installed["PYTHONPATH"]) / "solarize.py").write_text(code)
    plant(tmp_path / "photos", "a.png", data=saved(scene(), "PNG"))
    words = (*beside, "--filter", "solarize", "--filter", "brightness")
    run = imgbatch(
        "filter", "photos", *words, "-o", "out", "--report", "-", cwd=tmp_path, env=installed
    )
    assert run.returncode == 1
    error = json.loads(run.stdout.splitlines()[0])["error"]
    assert error == {"stage": "operate", "kind": "solarize", "message": f"solarize: {message}"}
