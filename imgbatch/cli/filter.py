"""`imgbatch filter`."""

from __future__ import annotations

from typing import Any

import click

from imgbatch.cli.help import GroupedCommand
from imgbatch.cli.launch import run_options
from imgbatch.cli.options import given, options
from imgbatch.recipes.settings import SIZE


@click.command("filter", cls=GroupedCommand)
@options(without={SIZE}, required={"filters"})
def command(**parameters: Any) -> int:
    """Apply operations to pictures; their size stays.

    PATH is a folder, a file, or - for a list of files, or a picture, on standard input. Pictures
    go into `<folder>-filtered` next to the folder; of one file, beside it.

    \b
    imgbatch filter shoot --filter sharpen:amount=0.5
    imgbatch filter a.jpg --filter grayscale -o grey.jpg
    """
    return run_options("filtered", given(parameters))
