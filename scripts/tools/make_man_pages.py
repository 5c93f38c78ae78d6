"""scripts/tool make_man_pages: write man/*.1 from the commands and their declared settings.

`--text NAME` prints one page and writes nothing.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from imgbatch.cli.commands import group
from imgbatch.cli.help import GROUPS, every_setting
from imgbatch.recipes.declarations import Flag, Setting
from tools.make_cli_docs import EXIT_CODES, found, value_of

FOLDER: Final = Path(__file__).parents[2] / "man"
_LINK: Final = re.compile(r"\[([^]]+)\]\([^)]+\)")

FILES: Final = r"""
.SH FILES
.TP
.I ~/.config/imgbatch/config.toml
Defaults for all commands: options without their dashes as keys, as in
.BR "quality = 88" .
.TP
.I imgbatch.toml
The same for a folder and those below it; the nearest one counts.
.TP
.I .imgbatch/
In each output folder: what was made, from what, and how.
.SH ENVIRONMENT
.TP
.BR IMGBATCH_JOBS ", " IMGBATCH_QUALITY ", \[u2026]"
Defaults for the options of these names. They come before those in files.
.TP
.BR IMGBATCH_CONFIG ", " IMGBATCH_NO_CONFIG
As \-\-config and \-\-no\-config.
.TP
.B NO_COLOR
No colours on a terminal.
"""


def pages() -> Iterator[tuple[str, str]]:
    """The names of the pages, and their source."""
    yield "imgbatch.1", overview()
    for name in group.list_commands(click.Context(group)):
        yield f"imgbatch-{name}.1", page(name)


def overview() -> str:
    names = group.list_commands(click.Context(group))
    lines = [head("imgbatch", "Turn folders of photographs into finished pictures")]
    lines += [".SH SYNOPSIS", r".B imgbatch", r".I COMMAND", r"[\fIOPTIONS\fR] [\fIPATH\fR...]"]
    lines += [".SH DESCRIPTION", *paragraphs(inspect.cleandoc(group.help or ""))]
    lines += [".SH COMMANDS"]
    for name in names:
        lines += [".TP", rf".BR imgbatch\-{name} (1)", escaped(summary(found(name)))]
    lines += [".SH OPTIONS"]
    context = click.Context(group, **group.context_settings)
    for parameter in group.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            lines += [".TP", f".B {escaped(record[0])}", escaped(record[1])]
    return "\n".join([*lines, FILES.strip(), *exit_status(), *see_also(names)]) + "\n"


def page(name: str) -> str:
    command = found(name)
    usage = command.collect_usage_pieces(click.Context(command))
    lines = [head(f"imgbatch-{name}", summary(command))]
    lines += [".SH SYNOPSIS", rf".B imgbatch {name}", escaped(" ".join(usage))]
    lines += [".SH DESCRIPTION", *paragraphs(inspect.cleandoc(command.help or ""))]
    lines += options(command)
    if any(one.name == "paths" for one in command.params):
        lines += [FILES.strip(), *exit_status()]
    return "\n".join([*lines, *see_also([])]) + "\n"


def head(name: str, meaning: str) -> str:
    first = meaning[0].lower() + meaning[1:].rstrip(".")
    title = f'.TH "{escaped(name.upper())}" "1" "" "imgbatch" "imgbatch"'
    return f"{title}\n.SH NAME\n{escaped(name)} \\- {escaped(first)}"


def summary(command: click.Command) -> str:
    """The first sentence of a command's help."""
    return inspect.cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ")


def paragraphs(text: str) -> Iterator[str]:
    """Text as in help; a paragraph that begins with a backspace keeps its lines."""
    for number, one in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        if one.startswith("\b\n"):
            yield from (".nf", *map(escaped, one.split("\n")[1:]), ".fi")
        else:
            yield escaped(" ".join(one.split()))


def options(command: click.Command) -> Iterator[str]:
    """The options of a command under the headings of its help."""
    names = {one.name for one in command.params if isinstance(one, click.Option)}
    if names:
        yield ".SH OPTIONS"
    for heading in GROUPS:
        settings = [one for one in every_setting() if one.group == heading and one.name in names]
        if settings:
            yield f".SS {escaped(heading)}"
        for one in settings:
            yield from option(one)


def option(one: Setting) -> Iterator[str]:
    value = value_of(one)
    words = ", ".join(rf"\fB{escaped(word)}\fR" for word in one.options)
    yield ".TP"
    yield words + (rf" \fI{escaped(value)}\fR" if value else "")
    yield escaped(" ".join(filter(None, (one.help, plain(one.more)))))
    if one.usual and not (isinstance(one.kind, Flag) and one.default is False):
        yield escaped(f"Default: {one.usual}.")


def exit_status() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, meaning in re.findall(r"^\| ([\d, ]+) \| (.+) \|$", EXIT_CODES, re.MULTILINE):
        yield from (".TP", f".B {code}", escaped(meaning))


def see_also(names: list[str]) -> Iterator[str]:
    pages = [f"imgbatch-{name}" for name in names] or ["imgbatch"]
    yield ".SH SEE ALSO"
    last = len(pages) - 1
    for number, one in enumerate(pages):
        yield f".BR {escaped(one)} (1)" + ("," if number < last else "")


def plain(text: str) -> str:
    """Markdown without its links and code marks."""
    return _LINK.sub(r"\1", text).replace("`", "")


def escaped(text: str) -> str:
    """Text that roff shows as it is: dashes that can be copied, no requests, ASCII only."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    text = text.replace("`", r"\(ga").replace("^", r"\(ha").replace("~", r"\(ti")
    text = "".join(one if one.isascii() else rf"\[u{ord(one):04X}]" for one in text)
    return rf"\&{text}" if text.startswith(".") else text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", metavar="NAME", help="print this page, write nothing")
    asked = parser.parse_args().text
    for name, text in pages():
        if asked is None:
            FOLDER.mkdir(exist_ok=True)
            (FOLDER / name).write_text(text, encoding="ascii")
            print(FOLDER / name)
        elif asked in (name, name.removesuffix(".1")):
            sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
