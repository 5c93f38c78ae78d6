"""`imgbatch presets`."""

from __future__ import annotations

import click


@click.command("presets")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the recipes that come with imgbatch, or show the file of one.

    `imgbatch run NAME PATH...` carries one out; `imgbatch presets NAME > my.toml` is a start for
    a recipe of your own.
    """
    from imgbatch.recipe_file import preset_text, presets

    if name is not None:
        click.echo(preset_text(name), nl=False)
        return
    for known, description in presets().items():
        click.echo(f"{known}: {description}")
