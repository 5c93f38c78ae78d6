"""Limits on the size of functions, and what plain values are made of."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

import imgbatch

PACKAGE: Final = Path(imgbatch.__file__).parent
MOST_LINES: Final = 50
DEEPEST: Final = 4
MOST_PARAMETERS: Final = 8
USERS_CALL: Final = {"running/library.py run", "recipes/recipe.py Recipe.from_options"}
"""Each parameter is an option, and each has to be passed on."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS: Final = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try)


@functools.cache
def functions() -> list[tuple[str, Function]]:
    return [
        (f"{file.relative_to(PACKAGE).as_posix()} {name}", function)
        for file in sorted(PACKAGE.rglob("*.py"))
        for name, function in within(ast.parse(file.read_bytes()))
    ]


def within(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield prefix + node.name, node
        inner = f"{node.name}." if isinstance(node, Function | ast.ClassDef) else ""
        yield from within(node, prefix + inner)


def lines(function: Function) -> int:
    """Lines from `def` to the end, without the docstring."""
    assert function.end_lineno is not None
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    documentation = first.end_lineno - first.lineno + 1 if documented and first.end_lineno else 0
    return function.end_lineno - function.lineno + 1 - documentation


def depth(node: ast.AST) -> int:
    """How deeply statements are nested; `elif` is on the level of its `if`, not inside it."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        below = depth(child)
        if isinstance(child, (*BLOCKS, ast.Match)) and not is_elif(child, node):
            below += 1
        deepest = max(deepest, below)
    return deepest


def is_elif(child: ast.AST, parent: ast.AST) -> bool:
    return isinstance(parent, ast.If) and isinstance(child, ast.If) and parent.orelse == [child]


def parameters(function: Function) -> int:
    """Number of parameters without `self` and `cls`."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    own = bool(named) and named[0].arg in ("self", "cls")
    return len(named) - own + bool(given.vararg) + bool(given.kwarg)


def test_functions_are_short() -> None:
    found = {name: lines(one) for name, one in functions() if name not in USERS_CALL}

    assert {name: count for name, count in found.items() if count > MOST_LINES} == {}


def test_functions_are_not_nested_deeply() -> None:
    assert {name: depth(one) for name, one in functions() if depth(one) > DEEPEST} == {}


def test_functions_take_few_parameters() -> None:
    found = {name: parameters(one) for name, one in functions()}

    assert {
        name: count
        for name, count in found.items()
        if count > MOST_PARAMETERS and name not in USERS_CALL
    } == {}
    assert set(found) >= USERS_CALL


def test_what_is_counted() -> None:
    (function,) = ast.parse(
        "def f(self, a, /, b, *c, d, **e):\n"
        '    """One.\n\n    Two.\n    """\n'
        "    if a:\n"
        "        pass\n"
        "    elif b:\n"
        "        with c:\n"
        "            return [x for x in d if x]\n"
    ).body
    assert isinstance(function, Function)

    assert (lines(function), depth(function), parameters(function)) == (6, 2, 5)


def test_values_are_filled_by_one_library() -> None:
    """A struct takes a dataclass's `field(...)` for a plain default without a word."""
    for _, name, _ in pkgutil.walk_packages(imgbatch.__path__, "imgbatch."):
        if name != "imgbatch.__main__":
            importlib.import_module(name)
    kinds = [*Struct.__subclasses__()]
    for kind in kinds:
        kinds += kind.__subclasses__()

    strays = [
        kind.__qualname__
        for kind in kinds
        if any(isinstance(default, dataclasses.Field) for default in kind.__struct_defaults__)
    ]

    assert len(kinds) > 60
    assert strays == []
