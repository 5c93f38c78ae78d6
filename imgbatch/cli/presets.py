"""`imgbatch presets`."""

from __future__ import annotations

import click

from imgbatch.cli.output import tell, tell_verbatim


@click.command("presets")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the recipes that come with imgbatch, or show the file of one.

    `imgbatch run NAME PATH...` runs one; `imgbatch presets NAME > my.toml` is a start
    for a recipe of your own.
    """
    from imgbatch.recipes.toml import preset_text, presets

    if name is not None:
        tell_verbatim(preset_text(name))
        return
    for known, description in presets().items():
        tell(f"{known}: {description}")
