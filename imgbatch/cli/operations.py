"""`imgbatch operations`."""

from __future__ import annotations

import inspect

import click


@click.command("operations")
def command() -> None:
    """List the operations for --filter, with their settings."""
    from imgbatch.operations import names, parameters_of

    for name, kind in names().items():
        click.echo(f"{name}: {(inspect.getdoc(kind) or '').splitlines()[0]}")
        for key, declared in parameters_of(kind).items():
            default = declared.default
            shown = "yes" if default is True else "no" if default is False else default
            click.echo(f"    {key}={shown}  {declared.help} ({declared.expected})")
