"""The help of commands: options under the headings of their groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from imgbatch.cli.invocation import REPORTING, Invocation
from imgbatch.recipes.declarations import Setting, declared
from imgbatch.recipes.settings import (
    FORMAT,
    METADATA,
    NAMES,
    OPERATIONS,
    SIZE,
    SOURCES,
    RecipeSettings,
)
from imgbatch.running.settings import RUN, Settings

GROUPS: Final = (NAMES, SIZE, FORMAT, OPERATIONS, METADATA, SOURCES, RUN, REPORTING)
"""The headings of help, in order."""

_KINDS: Final = (RecipeSettings, Settings, Invocation)


def every_setting() -> Iterator[Setting]:
    """All settings that options give, in the order of help: in each group short ones first."""
    found = [one for kind in _KINDS for one in declared(kind).values()]
    return iter(sorted(found, key=lambda one: (GROUPS.index(one.group), not one.short)))


class GroupedCommand(click.Command):
    """A command whose help has its options under the headings of their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group; those for which no setting is declared come last."""
        groups = {one.name: one.group for one in every_setting()}
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in (*GROUPS, "Other")}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections[groups.get(parameter.name or "", "Other")].append(record)
        for name, records in sections.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)
