"""The words that a shell may complete: derived from the declarations, without loading codecs."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping

import click
from click.shell_completion import CompletionItem

from imgbatch.cli import defaults
from imgbatch.errors import UsageError
from imgbatch.recipes import declarations
from imgbatch.recipes.declarations import Setting
from imgbatch.recipes.settings import KEEP

Items = list[CompletionItem[str]]


def for_setting(one: Setting, incomplete: str) -> Items:
    """The values of an option that begin like the `incomplete` one."""
    if one.name == "filters":
        return for_operation(incomplete)
    if isinstance(one.kind, declarations.Path):
        return [_path(incomplete, folder=one.metavar == "DIR")]
    # A command that asks for a value has no use for its being kept.
    words = [word for word in one.kind.words if word != KEEP or one.default is not None]
    found = [CompletionItem(word) for word in _beginning(incomplete, words)]
    takes_file = isinstance(one.kind, declarations.Text) and one.kind.or_file
    return found or ([_path(incomplete)] if takes_file else [])


def for_operation(incomplete: str) -> Items:
    """Operations, or after `NAME:` their settings, or after `key=` the values of one."""
    name, colon, arguments = incomplete.partition(":")
    if not colon:
        return list(_names(name))
    kinds = _operations()
    if name not in kinds:
        return []
    before, comma, last = arguments.rpartition(",")
    if arguments.count('"') % 2 or arguments.count("'") % 2:
        return []
    word = last.lstrip()
    start = f"{name}:{before}{comma}{last.removesuffix(word)}"
    settings = _settings(name)
    key, equals, value = word.partition("=")
    if equals:
        words = settings[key][1] if key in settings else ()
        return [CompletionItem(f"{start}{key}={word}") for word in _beginning(value, words)]
    given = {part.partition("=")[0].strip() for part in before.split(",")}
    left = [name for name in settings if name not in given]
    return [
        CompletionItem(f"{start}{one}=", help=settings[one][0]) for one in _beginning(key, left)
    ]


def for_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """The names of operations."""
    known = _operations()
    return [CompletionItem(name, help=known[name]) for name in _beginning(incomplete, known)]


def for_preset(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """The names of recipes: the user's own, and those that come with imgbatch."""
    from imgbatch.recipes.toml import presets

    known = presets()
    own: Mapping[str, str] = {}
    try:
        choice = context.params
        found = defaults.read(choice.get("config"), no_config=bool(choice.get("no_config")))
        own = found.presets()
    except UsageError:
        # Whoever runs it is told.
        pass
    helps = {**known, **own}
    return [CompletionItem(name, help=helps[name]) for name in _beginning(incomplete, helps)]


def for_recipe(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """The same, and files of recipes."""
    found = for_preset(context, parameter, incomplete)
    files = sorted(glob.glob(f"{glob.escape(incomplete)}*.toml"))
    return [*found, *map(CompletionItem, files)] or [_path(incomplete)]


def _path(incomplete: str, *, folder: bool = False) -> CompletionItem[str]:
    return CompletionItem(incomplete, type="dir" if folder else "file")


def _beginning(incomplete: str, words: Iterable[str]) -> Iterator[str]:
    return (word for word in words if word.lower().startswith(incomplete.lower()))


def _names(incomplete: str) -> Iterator[CompletionItem[str]]:
    for name, meant in _operations().items():
        if name.startswith(incomplete):
            yield CompletionItem(name, help=meant)
            if name == incomplete and _settings(name):
                yield CompletionItem(f"{name}:", help="with settings")


def _operations() -> dict[str, str]:
    """All operations by name, each with what it does."""
    import inspect

    from imgbatch.operations import names

    return {name: (inspect.getdoc(kind) or "").partition("\n")[0] for name, kind in names().items()}


def _settings(name: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """The settings of an operation: what each means, and the words that it accepts."""
    from imgbatch.operations import find, parameters_of

    return {
        key: (f"{it.help} ({it.expected})", it.kind.words)
        for key, it in parameters_of(find(name)).items()
    }
