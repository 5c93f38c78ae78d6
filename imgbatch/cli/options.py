"""Command-line options built from the declared settings, and the values given for them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

import click
from msgspec import Struct
from msgspec.structs import replace

from imgbatch.cli import defaults
from imgbatch.cli.help import every_setting
from imgbatch.cli.invocation import Invocation
from imgbatch.cli.output import complain
from imgbatch.recipes import declarations
from imgbatch.recipes.declarations import Setting, declared
from imgbatch.recipes.settings import (
    KEEP,
    RecipeSettings,
    RecipeWords,
    SharedSettings,
    profile_name,
)
from imgbatch.running.settings import Settings

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
Made = TypeVar("Made")

_KEEP: Final = "keep, or "
_DEFAULTS: Final = "imgbatch.defaults"
"""The key of the defaults in the `meta` of a context."""
_FROM_DEFAULTS: Final = click.core.ParameterSource.DEFAULT_MAP


class _Word(click.ParamType):  # type: ignore[type-arg]
    """A word that is read as the setting's kind says."""

    name = "word"

    def __init__(self, kind: declarations.Kind) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if not value:
            self.fail("found nothing, expected a value (is a variable empty?)", param, ctx)
        try:
            return self._kind.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Switch(click.Option):
    """A flag that a default may turn on, so that there is an option that turns it off.

    Help shows that only where the flag is on already.
    """

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        return ", ".join(self.opts), self.help or ""


class Reading(click.Option):
    """The option that chooses the files of defaults: it reads them before any other is needed."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Its value, after the defaults have become those of the context."""
        value = super().handle_parse_result(ctx, opts, args)
        if not ctx.resilient_parsing:
            found = defaults.read(opts.get("config"), no_config=bool(opts.get("no_config")))
            for notice in found.notices:
                complain(notice)
            ctx.meta[_DEFAULTS] = found
            ctx.default_map = found.values(opts)
        return value


def found_defaults() -> defaults.Defaults:
    """The defaults that the command at work has read."""
    found: defaults.Defaults = click.get_current_context().meta[_DEFAULTS]
    return found


def choosing_defaults(function: AnyFunction) -> AnyFunction:
    """The options that choose the files of defaults, for a command that has no others."""
    for name in ("no_config", "config"):
        one = declared(Invocation)[name]
        function = _option(one, required=False)(function)
    return function


def options(
    *,
    without: Collection[str] = (),
    required: Collection[str] = (),
    unset: Collection[str] = (),
    paths_required: bool = True,
) -> Callable[[AnyFunction], AnyFunction]:
    """The options of a command that makes pictures.

    `without` names groups or settings that it does not have; a missing `required` one is an
    error. Those in `unset` are None if they are not given: the command has no use for their
    default.
    """
    asked = [one for one in every_setting() if not {one.name, one.group} & set(without)]

    def decorate(function: AnyFunction) -> AnyFunction:
        for one in reversed(asked):
            one = replace(one, default=None) if one.name in unset else one
            function = _option(one, required=one.name in required)(function)
        argument = click.argument(
            "paths", nargs=-1, required=paths_required, metavar="PATH...", type=click.Path()
        )
        decorated: AnyFunction = argument(function)
        return decorated

    return decorate


def _option(one: Setting, *, required: bool) -> Callable[[AnyFunction], AnyFunction]:
    spelled = f"--{one.word}" + (f"/{one.negative}" if one.negative else "")
    words: dict[str, Any] = {"help": _help(one), "required": required}
    if one.negative and one.default is False:
        words["cls"] = _Switch
    if one.name == "config":
        words |= {"cls": Reading, "is_eager": True}
    if not required:
        # To click even a default of None is a value, and nothing would ever be missing.
        words["default"] = one.default
    if isinstance(one.kind, declarations.Flag):
        words["is_flag"] = True
    else:
        words |= {"type": _type(one.kind), "metavar": one.metavar or None}
        words["shell_complete"] = partial(_suggestions, one)
    if isinstance(one.kind, declarations.Several):
        words["multiple"] = True
    if isinstance(one.kind, declarations.Text) and one.kind.once:
        words |= {"multiple": True, "callback": _once}
        if not required:
            words["default"] = (one.default,)
    return click.option(*filter(None, (one.short, spelled)), one.name, **words)


def _suggestions(
    one: Setting, context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[Any]:
    from imgbatch.cli import suggestions

    return suggestions.for_setting(one, incomplete)


def suggesting(what: str) -> Callable[..., list[Any]]:
    """What completes an argument: the function of `suggestions` with this name."""

    def found(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
        from imgbatch.cli import suggestions

        items: list[Any] = getattr(suggestions, what)(context, parameter, incomplete)
        return items

    return found


def _help(one: Setting) -> str:
    if one.default is None and one.help.startswith(_KEEP):
        return one.help.removeprefix(_KEEP)
    return f"{one.help}  [default: {one.usual}]" if one.usual else one.help


def _type(kind: declarations.Kind) -> click.ParamType:  # type: ignore[type-arg]
    if isinstance(kind, declarations.Choice) and kind.listed:
        return click.Choice(kind.choices)
    may_be_empty = isinstance(kind, declarations.Text) and kind.may_be_empty
    return click.STRING if may_be_empty else _Word(kind)


def _once(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> str:
    """The one value of an option; raises click.BadParameter for several."""
    if len(set(values)) > 1:
        raise click.BadParameter(
            f"found {' and '.join(values)}, expected one: for several outputs of each picture run "
            "a recipe, or the command twice"
        )
    return values[0]


class Given(Struct, frozen=True):
    """What a command line gives: for its recipe, for the run, and for the command itself.

    `fills` are defaults for what the recipe leaves open, by the names of settings; those for the
    run are in it already.
    """

    recipe: RecipeSettings
    run: Settings
    invocation: Invocation
    fills: Mapping[str, Any] = MappingProxyType({})


def given(parameters: Mapping[str, Any]) -> Given:
    """What click has parsed for the command at work, if there is one, as typed values."""
    context = click.get_current_context(silent=True)
    fills = {
        name: parameters[name]
        for name in declared(RecipeSettings)
        if context and context.get_parameter_source(name) is _FROM_DEFAULTS
    }
    if "format" in fills and _names_a_file(parameters["output"]):
        # Its name says more than a default.
        del fills["format"]
        parameters = {**parameters, "format": "keep"}
    asked = {name: value for name, value in parameters.items() if name not in fills}
    named = asked.get("template") is not None
    return Given(
        _made(RecipeSettings, asked),
        dataclasses.replace(_made(Settings, asked), named=named),
        _made(Invocation, asked),
        fills,
    )


def _names_a_file(output: str | None) -> bool:
    from imgbatch.running.destination import format_of_file

    return output is not None and format_of_file(output) is not None


def _made(kind: type[Made], parameters: Mapping[str, Any]) -> Made:
    names = [one.name for one in dataclasses.fields(cast(Any, kind)) if one.name in parameters]
    return kind(**{name: parameters[name] for name in names})


def overrides(context: click.Context) -> RecipeWords:
    """The settings of all outputs that were really given, not left at their defaults."""
    source = click.core.ParameterSource.COMMANDLINE
    found = {
        name: context.params[name]
        for name in declared(SharedSettings)
        if context.get_parameter_source(name) is source
    }
    if profile_name(found.get("profile", KEEP)) is None:
        # A file that is named here is not looked for next to the recipe.
        found["profile"] = os.path.abspath(found["profile"])
    return cast(RecipeWords, found)
