"""`imgbatch operations`."""

from __future__ import annotations

import inspect

import click


@click.command("operations")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List what can be done to pictures, with all settings; of one NAME, everything.

    They are for --filter and for recipes.
    """
    from imgbatch.naming import shown
    from imgbatch.operations import find, names, parameters_of, unloadable

    for trouble in unloadable().values() if name is None else ():
        click.echo(f"imgbatch: {shown(trouble)}", err=True)
    kinds = names() if name is None else {find(name).name: find(name)}
    for known, kind in kinds.items():
        about = inspect.getdoc(kind) or ""
        click.echo(f"{known}: {about.splitlines()[0] if name is None else about}")
        for key, declared in parameters_of(kind).items():
            default = "" if declared.default is None else declared.kind.word(declared.default)
            click.echo(f"    {key}={default}  {declared.help} ({declared.expected})")
