"""The table of layers in docs/architecture.md, checked against every import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest
from toolkit.pictures import saved, scene

import imgbatch

PACKAGE: Final = Path(imgbatch.__file__).parent
TABLE: Final = PACKAGE.parent / "docs" / "architecture.md"
ROW: Final = re.compile(r"^\| *(\d*) *\| `([a-z/]+)/` \| (.+) \|[^|]*\|$", re.MULTILINE)
MOST_LAYERS: Final = 10

HOMES: Final = {
    "PIL": {"imaging", "operations", "running.worker", "running.preloaded"},
    "numpy": {"imaging", "operations"},
    "cykooz_resizer": {"imaging"},
    "isal": {"imaging", "store.crc"},
    "kornia_rs": {"imaging"},
    "multiprocessing": {"executors"},
    "signal": {"executors", "cli", "signals"},
    "click": {"cli"},
    "tqdm": {"cli.progress"},
    "sqlite3": {"store.journal", "store.recorded"},
    "psutil": {"executors"},
    "imagecodecs": {"imaging"},
    "tifffile": {"imaging"},
    "pillow_heif": {"imaging"},
    "rawpy": {"imaging"},
}


@cache
def layers() -> dict[str, int]:
    """Map each module to its layer in the table; `cli/session.py` is `cli.session`."""
    found: dict[str, int] = {}
    layer = 0
    for number, folder, modules in ROW.findall(TABLE.read_text()):
        layer = int(number or layer)
        where = folder.removeprefix("imgbatch").replace("/", ".")
        for module in re.findall(r"`(\w+)/?`", modules):
            found[f"{where}.{module}".lstrip(".")] = layer
    return found


@cache
def modules() -> dict[str, Path]:
    """Map each module to its file; a package's `__init__` goes by the name of the package."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        path = file.relative_to(PACKAGE).with_suffix("")
        package = path.name == "__init__" and len(path.parts) > 1
        found[".".join(path.parent.parts if package else path.parts)] = file
    return found


@cache
def imports() -> tuple[tuple[str, str], ...]:
    """Map each module to what it imports at run time: modules of imgbatch, else packages."""
    return tuple(
        (module, name)
        for module, file in modules().items()
        for node in running(ast.parse(file.read_bytes()))
        for name in imported(node, file)
    )


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module, except those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from running(node)


def imported(node: ast.AST, file: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{file}: imports are absolute here"
        assert node.module
        for alias in node.names:
            inside = f"{node.module}.{alias.name}"
            known = inside.removeprefix("imgbatch.") in modules()
            yield inside if known else node.module


def own(name: str) -> str | None:
    """The module of imgbatch that an import names, if any."""
    if name == "imgbatch":
        return "__init__"
    return name.removeprefix("imgbatch.") if name.startswith("imgbatch.") else None


def wing(module: str) -> str:
    return module.partition(".")[0]


def layer_of(module: str) -> int:
    """A package ranks as high as its highest module."""
    known = layers()
    return known.get(module) or max(
        layer for name, layer in known.items() if name.startswith(f"{module}.")
    )


def test_table_lists_exactly_the_existing_modules() -> None:
    packages = {module for module, file in modules().items() if file.name == "__init__.py"}

    assert set(modules()) - (packages - {"__init__"}) == set(layers()) - packages | {"__init__"}


def test_there_are_few_layers() -> None:
    assert sorted(set(layers().values())) == list(range(1, max(layers().values()) + 1))
    assert max(layers().values()) <= MOST_LAYERS


@pytest.mark.slow
def test_imports_point_downward() -> None:
    upward = [
        f"{module} imports {other}"
        for module, name in imports()
        if (other := own(name)) is not None
        and wing(other) != wing(module)
        # The package re-exports what users import; its version and its names are no layer.
        and not (other == "__init__" and module.startswith("cli."))
        and layer_of(other) >= layer_of(module)
    ]

    assert upward == []


def test_no_circular_imports() -> None:
    graph: dict[str, set[str]] = {module: set() for module in modules()}
    for module, name in imports():
        if (other := own(name)) is not None and other != "__init__":
            graph[module].add(other)

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.slow
def test_heavy_libraries_are_imported_only_where_allowed() -> None:
    strays = [
        f"{module} imports {name}"
        for module, name in imports()
        for homes in [HOMES.get(name.split(".")[0])]
        if homes is not None and module not in homes and wing(module) not in homes
    ]

    assert strays == []
    assert {name.split(".")[0] for _, name in imports()} >= set(HOMES)


WATCHED: Final = ("PIL", "numpy", "multiprocessing", "tqdm", "cykooz_resizer", "msgspec")

LOADED: Final = f"""
import atexit, sys
def tell():
    print("loaded", *(name for name in {WATCHED} if name in sys.modules), file=sys.__stderr__)
atexit.register(tell)
"""

COMMAND: Final = "import sys; from imgbatch.__main__ import main; sys.argv[0] = 'imgbatch'; main()"


def loaded_by(code: str, *arguments: str | Path) -> set[str]:
    """Which of the watched libraries a fresh interpreter has loaded at exit."""
    run = subprocess.run(
        [sys.executable, "-c", LOADED + code, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return set(run.stderr.splitlines()[-1].split()[1:])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("import imgbatch; imgbatch.__version__", []),
        (COMMAND, ["--help"]),
        (COMMAND, ["--version"]),
    ],
)
def test_version_loads_no_heavy_library(code: str, arguments: list[str]) -> None:
    assert loaded_by(code, *arguments) == set()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["resize", "convert", "filter", "operations"])
def test_help_loads_no_image_library(command: str) -> None:
    assert loaded_by(COMMAND, command, "--help") <= {"msgspec"}


@pytest.mark.slow
def test_plain_resize_in_process_does_not_load_numpy(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(saved(scene(), "JPEG"))

    loaded = loaded_by(COMMAND, "resize", tmp_path, "-o", tmp_path / "out", "-s", "48", "-j", "1")

    assert (tmp_path / "out/a.jpg").exists()
    assert "PIL" in loaded
    assert "numpy" not in loaded
