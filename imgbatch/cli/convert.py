"""`imgbatch convert`."""

from __future__ import annotations

from typing import Any

import click

from imgbatch.cli.help import GroupedCommand
from imgbatch.cli.launch import run_options
from imgbatch.cli.options import given, options
from imgbatch.recipes.settings import SIZE


@click.command("convert", cls=GroupedCommand)
@options(without={SIZE}, required={"format"})
def command(**parameters: Any) -> int:
    """Change the format of pictures; their size stays.

    PATH is a folder, a file, or - for a list of files on standard input. Pictures go into
    `<folder>-converted` next to the folder.
    """
    return run_options("converted", given(parameters))
