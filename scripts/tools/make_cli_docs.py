"""scripts/tool make_cli_docs: write docs/cli.md from the commands and their declared settings.

`--text` prints the page and writes nothing.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import click

from imgbatch.cli.commands import group
from imgbatch.cli.help import GROUPS, every_setting
from imgbatch.imaging import formats
from imgbatch.recipes.declarations import Flag, Setting, declared
from imgbatch.recipes.settings import OutputSettings

PAGE: Final = Path(__file__).parents[2] / "docs" / "cli.md"
WORKING: Final = ("resize", "convert", "filter", "run")

HEAD: Final = """\
# The command line

`imgbatch COMMAND --help` says the same in short. A setting has one name everywhere: `--max-bytes`
is `max-bytes` in a recipe and `max_bytes` in Python, unless the tables below say otherwise, and it
means the same there. Recipes have those of outputs; `imgbatch.run` takes those of runs, and
`imgbatch.Recipe.from_options` the others. Most can have [defaults](defaults.md) of yours, under
the same names; a flag that they turn on is turned off by its `--no-` form, as in `--no-strict`.

This page is written by `scripts/tool make_cli_docs`.
"""

EXIT_CODES: Final = """\
## Exit codes

| Code | Meaning |
|--:|---|
| 0 | all done or up to date |
| 1 | some files failed, or the run stopped early |
| 2 | wrong usage or plan, or another run has the output folder: nothing was written |
| 3 | no image found |
| 130, 143 | interrupted; Ctrl-C once lets the files in hand finish, twice stops at once |
"""


def page() -> str:
    return "\n".join([HEAD, *commands(), *options(), EXIT_CODES])


def commands() -> Iterator[str]:
    yield "## Commands\n"
    for name in group.list_commands(click.Context(group)):
        command = found(name)
        usage = command.collect_usage_pieces(click.Context(command))
        yield f"### {name}\n"
        yield f"`{' '.join(['imgbatch', name, *usage])}`\n"
        for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
            yield in_markdown(paragraph) + "\n"


def in_markdown(paragraph: str) -> str:
    """A paragraph of help; one that begins with a backspace keeps its lines."""
    if paragraph.startswith("\b\n"):
        lines = paragraph.removeprefix("\b\n")
        return f"```text\n{lines}\n```"
    return paragraph


def options() -> Iterator[str]:
    """All options, under the headings of the help."""
    yield "## Options\n"
    for heading in GROUPS:
        yield f"### {heading}\n"
        settings = [one for one in every_setting() if one.group == heading]
        lacking = {commands_without(one) for one in settings}
        if len(lacking) == 1 and (names := lacking.pop()):
            yield f"{names} {'have' if ' and ' in names else 'has'} none of these.\n"
        yield "| Option | In recipes | In Python | Default | Meaning |"
        yield "|---|---|---|---|---|"
        yield from (row(one, in_heading=not lacking) for one in settings)
        yield ""


def row(one: Setting, *, in_heading: bool) -> str:
    """The row of one setting; with `in_heading` the commands that lack it are known already."""
    spelled = ", ".join(f"`{word}`" for word in one.options)
    value = value_of(one)
    names = "" if in_heading else commands_without(one)
    without = f"Not for {names}." if names else ""
    keys = {it.recipe_key for it in declared(OutputSettings).values()} | {"raw-preview"}
    cells = (
        spelled + (f" `{value}`" if value else ""),
        f"`{one.recipe_key}`" if one.recipe_key in keys else "",
        f"`{one.name}`" if one.python else "",
        "" if one.kind == Flag() and not one.default else one.usual,
        " ".join(filter(None, (one.help, one.more, for_formats(one), without))),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def value_of(one: Setting) -> str:
    """The placeholder of its value: its metavar, or its choices."""
    if one.metavar or one.kind == Flag():
        return one.metavar
    return one.kind.allowed.replace(", ", "|")


def for_formats(one: Setting) -> str:
    """The formats that have it, unless all do."""
    if one.name not in get_args(formats.Setting):
        return ""
    rows = [row for row in formats.FORMATS if one.name in row.settings]
    having = ", ".join(row.label for row in rows)
    if one.name == "dither":
        reduced = (row for row in formats.FORMATS if "colours" in row.settings and row not in rows)
        having += f"; with --colours also {', '.join(row.label for row in reduced)}"
    return f"Formats that have it: {having}."


def commands_without(one: Setting) -> str:
    """The commands that make pictures but do not have it."""
    names = [
        f"`{name}`" for name in WORKING if one.name not in {it.name for it in found(name).params}
    ]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def found(name: str) -> click.Command:
    """A command by name."""
    command = group.get_command(click.Context(group), name)
    assert command is not None
    return command


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", action="store_true", help="print the page, write nothing")
    if parser.parse_args().text:
        sys.stdout.buffer.write(page().encode())
    else:
        PAGE.write_text(page(), encoding="utf-8")
        print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
