"""`imgbatch presets`."""

from __future__ import annotations

import click

from imgbatch.cli.options import choosing_defaults, found_defaults, suggesting
from imgbatch.cli.output import complain, tell, tell_verbatim
from imgbatch.errors import UsageError


@click.command("presets")
@choosing_defaults
@click.argument("name", required=False, shell_complete=suggesting("for_preset"))
def command(name: str | None, **choice: object) -> None:
    """List the recipes that can be run by name, or show the file of one.

    Your own are in the folder that a file of defaults names as `presets`; the others come with
    imgbatch. `imgbatch run NAME PATH...` runs one; `imgbatch presets NAME > my.toml` is a start
    for a recipe of your own.
    """
    from imgbatch.recipes.toml import description, preset_text, presets, text_of

    own = found_defaults().presets()
    if name is not None:
        tell_verbatim(text_of(own[name]) if name in own else preset_text(name, own))
        return
    for known, path in sorted(own.items()):
        try:
            meant = description(path)
        except UsageError as error:
            complain(str(error))
            continue
        tell(f"{known}: {meant or 'your own'} ({path})")
    for known, meant in presets().items():
        if known not in own:
            tell(f"{known}: {meant}")
