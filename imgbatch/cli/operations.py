"""`imgbatch operations`."""

from __future__ import annotations

import inspect

import click

from imgbatch.cli.options import suggesting
from imgbatch.cli.output import complain, tell, tell_lines


@click.command("operations")
@click.argument("name", required=False, shell_complete=suggesting("for_name"))
def command(name: str | None) -> None:
    """List what can be done to pictures, with all settings; with NAME, the details of one.

    Operations are for --filter and for recipes.
    """
    from imgbatch.operations import find, names, parameters_of, unloadable

    for trouble in unloadable().values() if name is None else ():
        complain(trouble)
    kinds = names() if name is None else {find(name).name: find(name)}
    for known, kind in kinds.items():
        first, *others = (inspect.getdoc(kind) or "").splitlines() or [""]
        tell(f"{known}: {first}")
        tell_lines(others if name is not None else ())
        for key, declared in parameters_of(kind).items():
            default = "" if declared.default is None else declared.kind.word(declared.default)
            tell(f"    {key}={default}  {declared.help} ({declared.expected})")
