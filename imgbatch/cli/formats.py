"""`imgbatch formats`."""

from __future__ import annotations

import click


@click.command("formats")
def command() -> None:
    """List the formats that this installation reads and writes."""
    from imgbatch.imaging import formats

    click.echo(f"{'name':10} {'suffixes':36} {'quality':8} holds")
    for row in formats.FORMATS:
        suffixes = " ".join((*row.suffixes, *row.read_suffixes))
        quality = str(row.quality or "-")
        held: list[str] = [part for part in formats.PARTS if part in row.holds]
        held += ["alpha"] if row.alpha else []
        held += ["16-bit grey"] if "I;16" in row.modes else []
        missing = "" if formats.available(row) else "  (not in this installation's Pillow)"
        click.echo(f"{row.name:10} {suffixes:36} {quality:8} {', '.join(held) or '-'}{missing}")
