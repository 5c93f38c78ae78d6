"""`imgbatch resize`."""

from __future__ import annotations

from typing import Any

import click

from imgbatch.cli.launch import run_options
from imgbatch.cli.options import shared


@click.command("resize")
@shared(size=True)
def command(**options: Any) -> int:
    """Resize pictures, and filter and convert them on the way.

    PATH is a folder, a file, or - for a list of files on standard input. With nothing else,
    pictures are shrunk to 2048 pixels on the long edge, upright, with their colours and metadata,
    into `<folder>-resized` beside the folder.
    """
    options["sizes"] = options["sizes"] or ("2048",)
    return run_options("resized", options)
