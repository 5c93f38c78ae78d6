"""The layers of docs/architecture.md, held by reading every import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from pictures import saved, scene

import imgbatch

PACKAGE: Final = Path(imgbatch.__file__).parent

# From the bottom up. A module imports from layers below its own, or from its own package.
LAYERS: Final = (
    {"model", "streams", "signals"},
    {"errors"},
    {"amounts", "naming", "atomic", "regular"},
    {"checksum"},
    {"imaging", "runlog", "packed"},
    {"operations"},
    {"words", "working", "headers"},
    {"recipe"},
    {"presets", "targets"},
    {"recipe_file"},
    {"making"},
    {"worker", "journal"},
    {"scan", "plan", "report", "progress", "executors"},
    {"tasks", "ahead"},
    {"batch"},
    {"cli"},
    {"__main__"},
)
HEIGHT: Final = {unit: height for height, units in enumerate(LAYERS) for unit in units}

HOMES: Final = {
    "PIL": {"imaging", "operations", "worker"},
    "numpy": {"imaging", "operations", "worker"},
    "cykooz_resizer": {"imaging"},
    "isal": {"imaging", "checksum"},
    "kornia_rs": {"imaging"},
    "multiprocessing": {"executors"},
    "signal": {"executors", "cli", "signals"},
    "click": {"cli"},
    "tqdm": {"progress"},
    "sqlite3": {"journal"},
    "psutil": {"executors"},
    "imagecodecs": {"imaging"},
    "tifffile": {"imaging"},
    "pillow_heif": {"imaging"},
    "rawpy": {"imaging"},
}


def imports() -> Iterator[tuple[str, str]]:
    """Every import of the package: the unit (module or subpackage) it stands in, and its name."""
    for file in sorted(PACKAGE.rglob("*.py")):
        unit = file.relative_to(PACKAGE).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                yield from ((unit, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: imports are absolute here"
                inside = [alias.name for alias in node.names] if node.module == "imgbatch" else []
                yield from ((unit, f"imgbatch.{name}") for name in inside)
                yield unit, node.module or ""


def test_every_module_has_its_layer() -> None:
    units = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}

    assert units - {"__init__", "__pycache__"} == set(HEIGHT)


@pytest.mark.slow
def test_imports_point_downward() -> None:
    upward = [
        f"{unit} imports {name}"
        for unit, name in imports()
        if name.startswith("imgbatch.") and unit != "__init__"
        for other in [name.split(".")[1]]
        if other != unit and HEIGHT[other] >= HEIGHT[unit]
    ]

    assert upward == []


@pytest.mark.slow
def test_heavy_libraries_stay_at_home() -> None:
    strays = [
        f"{unit} imports {name}"
        for unit, name in imports()
        if unit not in HOMES.get(name.split(".")[0], {unit})
    ]

    assert strays == []
    assert {name.split(".")[0] for _, name in imports()} >= set(HOMES)


WATCHED: Final = ("PIL", "numpy", "multiprocessing", "tqdm", "cykooz_resizer")

LOADED: Final = f"""
import atexit, sys
def tell():
    print("loaded", *(name for name in {WATCHED} if name in sys.modules), file=sys.__stderr__)
atexit.register(tell)
"""

COMMAND: Final = "import sys; from imgbatch.__main__ import main; sys.argv[0] = 'imgbatch'; main()"


def loaded_by(code: str, *arguments: str | Path) -> set[str]:
    """Which of the watched libraries a new interpreter has loaded when it ends."""
    run = subprocess.run(
        [sys.executable, "-c", LOADED + code, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return set(run.stderr.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("import imgbatch; imgbatch.__version__", []),
        (COMMAND, ["--help"]),
        (COMMAND, ["--version"]),
    ],
)
def test_starting_costs_next_to_nothing(code: str, arguments: list[str]) -> None:
    assert loaded_by(code, *arguments) == set()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["resize", "convert", "filter", "operations"])
def test_help_loads_no_picture_library(command: str) -> None:
    assert loaded_by(COMMAND, command, "--help") == set()


def test_a_plain_resize_in_one_process_does_not_load_numpy(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(saved(scene(), "JPEG"))

    loaded = loaded_by(COMMAND, "resize", tmp_path, "-o", tmp_path / "out", "-s", "48", "-j", "1")

    assert (tmp_path / "out/a.jpg").exists()
    assert "PIL" in loaded
    assert "numpy" not in loaded
