"""`imgbatch convert`."""

from __future__ import annotations

from typing import Any

import click

from imgbatch.cli.help import GroupedCommand
from imgbatch.cli.launch import run_options
from imgbatch.cli.options import given, options
from imgbatch.recipes.settings import SIZE


@click.command("convert", cls=GroupedCommand)
@options(without={SIZE}, unset={"format"})
def command(**parameters: Any) -> int:
    """Change the format of pictures; their size stays.

    PATH is a folder, a file, or - for a list of files, or a picture, on standard input. Pictures
    go into `<folder>-converted` next to the folder; of one file, beside it. With --output FILE its
    suffix is the format.

    \b
    imgbatch convert shoot --format webp
    imgbatch convert a.heic -o a.jpg
    """
    if parameters["format"] is None:
        from imgbatch.running.destination import format_of_file

        output = parameters["output"]
        if output is None or format_of_file(output) is None:
            raise click.UsageError(
                "Missing option '-f' / '--format': say what pictures become, as in --format webp"
            )
        parameters["format"] = "keep"
    return run_options("converted", given(parameters))
