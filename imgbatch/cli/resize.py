"""`imgbatch resize`."""

from __future__ import annotations

import dataclasses
from typing import Any

import click
from msgspec.structs import replace

from imgbatch.cli.help import GroupedCommand
from imgbatch.cli.launch import run_options
from imgbatch.cli.options import given, options


@click.command("resize", cls=GroupedCommand)
@options()
def command(**parameters: Any) -> int:
    """Resize pictures, and optionally filter and convert them.

    PATH is a folder, a file, or - for a list of files, or a picture, on standard input.
    By default pictures are shrunk to 2048 pixels on the long edge, upright, with their colours
    and metadata, into `<folder>-resized` next to the folder; of one file, `a-resized.jpg` beside
    it.

    \b
    imgbatch resize shoot --size 1600
    imgbatch resize shoot -s web=1600 -s thumb=300 -f webp -o web
    imgbatch resize a.jpg -s 800 -o small.jpg
    """
    request = given(parameters)
    if not request.recipe.sizes and "sizes" not in request.fills:
        recipe = dataclasses.replace(request.recipe, sizes=("2048",))
        request = replace(request, recipe=recipe)
    return run_options("resized", request)
