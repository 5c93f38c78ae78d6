"""`imgbatch formats`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from imgbatch.cli.output import complain, tell

if TYPE_CHECKING:
    from imgbatch.imaging.formats import Format


@click.command("formats")
def command() -> None:
    """List the formats that this installation reads and writes."""
    from imgbatch.imaging import formats

    for trouble in formats.unloadable().values():
        complain(trouble)
    width = max(len(row.name) for row in formats.every()) + 2
    for row in formats.every():
        suffixes = " ".join((*row.suffixes, *row.read_suffixes))
        if not formats.available(row):
            tell(f"{row.name:{width}}not available: {formats.remedy(row)}")
        else:
            tell(f"{row.name:{width}}{_use(row)}")
        for line in filter(None, (suffixes, _held(row), _settings(row), _told(row))):
            tell(f"{'':{width}}{line}")
    if not formats.installed("deep"):
        tell("")
        tell("16 bits per channel in colour need: pip install 'imgbatch[deep]'")


def _use(row: Format) -> str:
    from imgbatch.errors import PictureError
    from imgbatch.imaging import formats

    if row.becomes is not None:
        return f"{row.label}: read only; outputs are {row.becomes} unless --format says otherwise"
    try:
        encodes = formats.encodes(row)
    except PictureError as error:
        return error.failure.message
    if not encodes:
        return f"{row.label}: read only, no encoder in this installation"
    return f"{row.label}: read and written" + (f", {row.mime}" if row.mime else "")


def _held(row: Format) -> str:
    from imgbatch.imaging import formats

    held: list[str] = [part for part in formats.PARTS if part in row.holds]
    held += ["alpha"] if row.alpha else []
    held += ["CMYK"] if "CMYK" in row.modes else []
    held += ["16-bit grey"] if "I;16" in row.modes else []
    held += [f"{row.deep_bits}-bit colour"] if row.deep_modes and formats.installed("deep") else []
    held += [row.series] if row.series else []
    return f"holds {', '.join(held)}" if held else ""


def _settings(row: Format) -> str:
    words = [f"--{word.replace('_', '-')}" for word in sorted(row.settings)]
    default = f" (default quality {row.quality})" if row.quality else ""
    return f"settings {' '.join(words)}{default}" if words else ""


def _told(row: Format) -> str:
    from imgbatch.errors import PictureError
    from imgbatch.imaging import formats

    try:
        return formats.codec(row).told() if formats.available(row) else ""
    except PictureError:
        return ""
