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
    """A command whose help has its options under the headings of their groups.

    Whoever errs in an option is told what to type instead.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The words that are left; raises click.UsageError with a remedy."""
        words = args[: args.index("--")] if "--" in args else list(args)
        known = {word for one in self.get_params(ctx) for word in (*one.opts, *one.secondary_opts)}
        for word in words:
            # `-size 800` would be read as `-s ize`.
            single = len(word) > 2 and word[0] == "-" != word[1]
            if single and f"-{word}" in known and not ctx.resilient_parsing:
                raise click.UsageError(f"No such option {word!r}: did you mean -{word}?", ctx)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(_unknown(error.option_name, words, known), ctx) from None
        except click.MissingParameter as error:
            from imgbatch.cli import remedies

            missing = error.param.name if error.param is not None else None
            remedy = remedies.for_missing_filter(words) if missing == "filters" else None
            if remedy is None:
                raise
            raise click.UsageError(f"Missing option '--filter': {remedy}", ctx) from None

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


def _unknown(option: str, words: list[str], known: set[str]) -> str:
    """What to say about an unknown option, which is one of the `words` or begins one of them."""
    from imgbatch.cli import remedies

    place = next((at for at, word in enumerate(words) if word.startswith(option)), len(words))
    # It may also be one of several letters: -vx.
    typed, equals, value = [*words, option][place].partition("=")
    following = words[place + 1 : place + 2]
    if not equals and following and not following[0].startswith("-"):
        value = following[0]
    long = {word for word in known if word.startswith("--")}
    return f"No such option {typed!r}: {remedies.for_option(typed, value or None, long, words)}"
