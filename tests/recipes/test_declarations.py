"""Each setting is declared once; the command line, recipes and Python derive from that."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any, Final

import click
import pytest
from msgspec import structs

import imgbatch
from imgbatch.cli.commands import group
from imgbatch.cli.help import GROUPS, every_setting
from imgbatch.cli.invocation import Invocation
from imgbatch.cli.options import given
from imgbatch.errors import UsageError
from imgbatch.model import Encoding, Limits
from imgbatch.recipes.declarations import Amount, Choice, Flag, Seconds, Whole, declared
from imgbatch.recipes.recipe import Recipe
from imgbatch.recipes.settings import (
    RESIZING,
    OutputSettings,
    OutputWords,
    RecipeSettings,
    RecipeWords,
    ResizeWords,
    SaveWords,
    SharedSettings,
)
from imgbatch.recipes.toml import load
from imgbatch.recipes.units import amount, in_words
from imgbatch.running.settings import PictureWords, RunWords, Settings, settings_of

OUTPUTS: Final = declared(SharedSettings)


def command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


def types_of(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def test_python_arguments_are_typed_as_declared() -> None:
    assert types_of(RecipeWords) == {
        name: kind
        for name, kind in types_of(RecipeSettings).items()
        if name in declared(RecipeSettings)
    }
    own = {name: one for name, one in declared(Settings).items() if one.python}
    assert set(types_of(RunWords)) == set(own)
    wider = {"output", "backup", "include", "exclude"}
    for name in set(own) - wider:
        assert types_of(RunWords)[name] == types_of(Settings)[name], name


def test_arguments_for_single_pictures_are_declared_settings() -> None:
    outputs, runs = declared(OutputSettings), declared(Settings)
    resizing = {*RESIZING, "background"}

    assert set(OutputWords.__annotations__) == {*outputs, "name"}
    assert set(ResizeWords.__annotations__) == resizing
    converting = {"size", "operations", "template", "profile", "intent"}
    assert set(SaveWords.__annotations__) == {*outputs} - {*RESIZING} - converting
    for name, kind in types_of(PictureWords).items():
        assert kind == types_of(Settings)[name], runs[name]


def test_encoding_has_only_declared_output_settings_with_their_defaults() -> None:
    usual = {"format": "keep", "background": "white"}
    for field in structs.fields(Encoding):
        if field.name not in usual:
            assert OUTPUTS[field.name].default == field.default, field.name


@pytest.mark.parametrize("name", ["resize", "convert", "filter", "run"])
def test_every_option_of_a_command_is_declared(name: str) -> None:
    known = {one.name: one for one in every_setting()}
    for parameter in command(name).params:
        if isinstance(parameter, click.Option):
            one = known[parameter.name or ""]
            # What turns off a flag that only a default turns on.
            more = [one.negative] if one.negative and not one.default else []
            assert [*parameter.opts, *parameter.secondary_opts] == [*one.options, *more]


def test_resize_has_every_option() -> None:
    options = {one.name for one in command("resize").params if isinstance(one, click.Option)}
    assert options == {one.name for one in every_setting()}


def test_help_groups_options_under_their_headings() -> None:
    resize = command("resize")
    shown = resize.get_help(click.Context(resize, info_name="resize", max_content_width=100))
    places = [shown.index(f"\n{name}:\n") for name in (*GROUPS, "Other")]
    assert places == sorted(places)
    for one in every_setting():
        at = GROUPS.index(one.group)
        section = shown[places[at] : places[at + 1]]
        assert one.options[-1] in section, one.name


def test_no_two_settings_share_an_option_or_key() -> None:
    options = [word for one in every_setting() for word in one.options]
    assert len(options) == len(set(options))
    keys = [one.recipe_key for one in declared(OutputSettings).values()]
    assert len(keys) == len(set(keys))


SAID: Final[dict[str, tuple[list[str], Any]]] = {
    "fit": (["--fit", "cover"], "cover"),
    "enlarge": (["--enlarge"], True),
    "gravity": (["--gravity", "north"], "north"),
    "kernel": (["--kernel", "box"], "box"),
    "linear": (["--linear"], True),
    "format": (["-f", "webp"], "webp"),
    "quality": (["-q", "70"], 70),
    "max_bytes": (["--max-bytes", "20KB"], "20KB"),
    "keep_smaller": (["--keep-smaller"], True),
    "subsampling": (["--subsampling", "4:4:4"], "4:4:4"),
    "progressive": (["--progressive"], True),
    "lossless": (["--lossless"], True),
    "effort": (["--effort", "3"], 3),
    "compression": (["--compression", "lzw"], "lzw"),
    "colours": (["--colours", "16"], 16),
    "dither": (["--no-dither"], False),
    "background": (["--background", "navy"], "navy"),
    "metadata": (["--metadata", "none"], "none"),
    "artist": (["--artist", "Ada"], "Ada"),
    "dpi": (["--dpi", "300"], 300),
    "copyright": (["--copyright", "(c) Ada"], "(c) Ada"),
    "profile": (["--profile", "srgb"], "srgb"),
    "intent": (["--intent", "absolute"], "absolute"),
    "template": (["--name", "a/{stem}{ext}"], "a/{stem}{ext}"),
}
"""Each setting of outputs on the command line, and its value in Python and in recipes."""

NEEDED: Final = {"intent": {"profile": "srgb"}}
"""Other options needed for a setting to take effect."""


def test_every_output_setting_is_tested_here() -> None:
    assert set(SAID) == set(OUTPUTS)


@pytest.mark.parametrize("name", SAID)
def test_options_python_and_recipes_are_equivalent(name: str, tmp_path: Path) -> None:
    words, value = SAID[name]
    more: dict[str, Any] = NEEDED.get(name, {})
    python = Recipe.from_options("x", sizes=["400x300"], **{**more, name: value})
    plain = Recipe.from_options("x", sizes=["400x300"], **more)
    assert python.digest != plain.digest

    asked = [word for key, said in more.items() for word in (f"--{key}", said)]
    context = command("resize").make_context("resize", ["in", "-s", "400x300", *words, *asked])
    assert Recipe.from_settings("x", given(context.params).recipe) == python

    key = OUTPUTS[name].recipe_key
    said = {"size": "400x300", **more, key: value}
    lines = [
        f"{one} = {str(it).lower() if isinstance(it, bool) else repr(it)}"
        for one, it in said.items()
    ]
    (tmp_path / "x.toml").write_text("\n".join(["[[output]]", *lines]))
    assert load(tmp_path / "x.toml") == python


def test_click_parses_what_python_declares_for_a_run() -> None:
    words = "in -o out -j 3 --sort date --flat --on-conflict skip --force --timeout 9 --memory 2GB"
    words += " --max-pixels 3MP --strict --preserve-dates --salvage --no-recursive --include a"
    words += " --include b --exclude c"
    context = command("resize").make_context("resize", words.split())
    assert given(context.params).run == settings_of(
        [Path("in")],
        {
            "output": Path("out"),
            "jobs": 3,
            "sort": "date",
            "flat": True,
            "force": True,
            "on_conflict": "skip",
            "timeout": 9.0,
            "memory": 2 * 10**9,
            "max_pixels": 3 * 10**6,
            "strict": True,
            "preserve_dates": True,
            "salvage": True,
            "recursive": False,
            "include": ["a", "b"],
            "exclude": ["c"],
        },
    )
    assert given(context.params).invocation == Invocation()


@pytest.mark.parametrize("name", ["dry_run", "listed", "qualty"])
def test_python_refuses_unknown_arguments(name: str) -> None:
    words: dict[str, Any] = {name: "x"}
    for call in (imgbatch.run, imgbatch.plan):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            call(Recipe.from_options(), ["photos"], **words)
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        Recipe.from_options(**words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"jobs": 0}, "found 0 jobs, expected 1 or more"),
        ({"sort": "size"}, "sort: found 'size', expected one of name, date"),
        ({"on_conflict": "ask"}, "on-conflict: found 'ask', expected one of error, skip"),
        ({"timeout": 0}, "found a timeout of 0 s, expected more than 0 and at most 1,000,000"),
        ({"timeout": 2e6}, "found a timeout of 2e\\+06 s"),
        ({"timeout": float("nan")}, "found a timeout of nan s"),
        ({"memory": 0}, "found 0 bytes of memory, expected more"),
        ({"memory": -5}, "found -5 bytes of memory, expected more"),
        ({"max_pixels": 0}, "found a limit of 0 pixels, expected 1 or more"),
    ],
)
def test_run_refuses_values_out_of_range(words: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        Settings(("in",), **words).check()
    Settings(("in",), timeout=None).check()


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        (Whole(1, 10), "1 to 10"),
        (Whole(2), "2 or more"),
        (Choice(("a", "b")), "a, b"),
        (Flag(), ""),
        (Seconds(), ""),
    ],
)
def test_kind_states_what_it_allows(kind: Any, allowed: str) -> None:
    assert kind.allowed == allowed


@pytest.mark.parametrize("number", [1, 999, 1000, 1500, 250_000_000, 2 * 10**9, 3 * 10**12])
def test_amount_with_units_is_parsed(number: int) -> None:
    assert amount(in_words(number, "B"), "B") == number
    assert Amount("B").word(number) == in_words(number, "B")


def test_amount_is_shown_in_the_largest_unit_that_keeps_it_whole() -> None:
    assert [in_words(n, "P") for n in (250_000_000, 1500, 20)] == ["250MP", "1500P", "20P"]


def test_python_accepts_amounts_with_units() -> None:
    settings = settings_of(["photos"], {"memory": "2GB", "max_pixels": "1.5MP"})

    settings.check()
    assert settings.limits == Limits(300.0, 2_000_000_000, 1_500_000)
    with pytest.raises(UsageError, match="lots"):
        settings_of(["photos"], {"memory": "lots"}).check()
