"""`imgbatch convert`."""

from __future__ import annotations

from typing import Any

import click

from imgbatch.cli.launch import run_options
from imgbatch.cli.options import shared


@click.command("convert")
@shared(format_required=True)
def command(**options: Any) -> int:
    """Change the format of pictures; their size stays.

    PATH is a folder, a file, or - for a list of files on standard input. Pictures go into
    `<folder>-converted` beside the folder.
    """
    return run_options("converted", options)
