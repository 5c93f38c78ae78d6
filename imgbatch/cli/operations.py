"""`imgbatch operations`."""

from __future__ import annotations

import inspect
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from imgbatch.cli.options import suggesting
from imgbatch.cli.output import complain, tell, tell_lines

if TYPE_CHECKING:
    from imgbatch.operations import Operation
    from imgbatch.operations.parameters import Parameter

_WIDEST: Final = 24
"""The widest that a setting with its default may be, to have its meaning on the same line."""


@click.command("operations")
@click.argument("name", required=False, shell_complete=suggesting("for_name"))
def command(name: str | None) -> None:
    """List what can be done to pictures, with all settings; with NAME, all about one of them, and
    how to type it.

    Operations are for --filter and for recipes.
    """
    from imgbatch.operations import find, names, parameters_of, unloadable

    if name is not None:
        tell_lines(_page(find(name)))
        return
    for trouble in unloadable().values():
        complain(trouble)
    for known, kind in names().items():
        first, *_ = (inspect.getdoc(kind) or "").splitlines() or [""]
        tell(f"{known}: {first}")
        for key, declared in parameters_of(kind).items():
            tell(f"    {key}={_default(declared)}  {declared.help} ({declared.expected})")


def _page(kind: type[Operation]) -> Iterator[str]:
    """All about one operation, as lines."""
    from imgbatch.operations import parameters_of

    first, *others = (inspect.getdoc(kind) or "").splitlines() or [""]
    yield f"{kind.name}: {first}"
    yield from others
    settings = parameters_of(kind)
    yield ""
    yield "Settings, with their defaults:" if settings else "It has no settings."
    words = {key: f"{key}={_default(declared)}" for key, declared in settings.items()}
    width = min(_WIDEST, max(map(len, words.values()), default=0))
    for key, declared in settings.items():
        meaning = f"{declared.help} ({declared.expected})"
        if len(words[key]) > width:
            yield f"  {words[key]}"
            yield f"  {'':{width}}  {meaning}"
        else:
            yield f"  {words[key]:{width}}  {meaning}"
    example = _example(kind, settings)
    yield ""
    yield "To type:"
    yield f"  imgbatch filter photos -o finished --filter {_quoted(example)}"
    yield "In a recipe:"
    yield f"  operations = [{json.dumps(example, ensure_ascii=False)}]"


def _default(declared: Parameter) -> str:
    return "" if declared.default is None else declared.kind.word(declared.default)


def _example(kind: type[Operation], settings: dict[str, Parameter]) -> str:
    """An operation in words: its documented example, or with the first setting that it has."""
    if kind.example:
        # Those of the documentation work with the samples.
        return kind.example.replace("sample_images/", "")
    for key, declared in settings.items():
        if declared.default is not None:
            return f"{kind.name}:{key}={_default(declared)}"
    return kind.name


def _quoted(word: str) -> str:
    """A word as this system's shell takes it."""
    return subprocess.list2cmdline([word]) if os.name == "nt" else shlex.quote(word)
