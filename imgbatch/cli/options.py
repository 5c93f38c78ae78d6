"""The options that commands share, and what becomes of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.model import Limits
from imgbatch.recipes.units import amount

if TYPE_CHECKING:
    from imgbatch.recipes.recipe import Recipe
    from imgbatch.running.batch import Settings

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
Decorator = Callable[[AnyFunction], AnyFunction]


class Amount(click.ParamType):  # type: ignore[type-arg]
    """A whole number, perhaps with a unit: 1500000, 1.5M, 1.5MB."""

    name = "amount"

    def __init__(self, unit: str) -> None:
        self._unit = unit

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number that a word means."""
        try:
            return amount(str(value), self._unit)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _paths(required: bool) -> Decorator[Any]:
    return click.argument(
        "paths", nargs=-1, required=required, metavar="PATH...", type=click.Path()
    )


_SIZE: list[Decorator[Any]] = [
    click.option(
        "-s",
        "--size",
        "sizes",
        multiple=True,
        metavar="SPEC",
        help="1600 (long edge), 1600x1200, 1600x, x1200, 50% or 2MP. Repeatable, and may be "
        "named: web=1600.  [default: 2048]",
    ),
    click.option(
        "--fit",
        default="inside",
        show_default=True,
        metavar="MODE",
        help="inside, outside, cover (fill and crop), pad (fill up with background) or exact "
        "(ignore the ratio).",
    ),
    click.option("--enlarge", is_flag=True, help="Allow enlarging; by default images only shrink."),
    click.option(
        "--gravity",
        default="center",
        show_default=True,
        metavar="PLACE",
        help="What cover keeps and where pad puts the picture: center, north, northeast, …",
    ),
    click.option(
        "--kernel",
        default="lanczos",
        show_default=True,
        metavar="NAME",
        help="lanczos, bicubic, mitchell, bilinear, hamming, box or nearest.",
    ),
    click.option("--linear", is_flag=True, help="Resample in linear light."),
]

_WHERE: list[Decorator[Any]] = [
    click.option(
        "-o",
        "--output",
        metavar="DIR",
        type=click.Path(),
        help="Where pictures go.  [default: beside the folder, named after it]",
    ),
    click.option(
        "--name",
        "template",
        metavar="TEMPLATE",
        help="File names: {stem} {ext} {dir} {parent} {output} {width} {height} {seq} {date} "
        "{camera}; with formats, as in {seq:04d} or {date:%Y/%m}, and in lower or upper case, as "
        "in {ext!l} or {stem!u}.  [default: {stem}{ext}; with several sizes {stem}-{output}{ext}]",
    ),
    click.option(
        "--sort",
        default="name",
        show_default=True,
        type=click.Choice(["name", "date"]),
        help="What {seq} counts by: names, or the time at which pictures were taken.",
    ),
    click.option("--flat", is_flag=True, help="Do not mirror the folders of the sources."),
    click.option(
        "--on-conflict",
        default="error",
        show_default=True,
        type=click.Choice(["error", "skip", "overwrite", "rename"]),
        help="For a file that exists and is not imgbatch's own, and for two sources with one "
        "target.",
    ),
    click.option("--force", is_flag=True, help="Make what is up to date anew."),
    click.option("--in-place", is_flag=True, help="Replace the originals."),
    click.option(
        "--backup",
        metavar="DIR",
        type=click.Path(),
        help="With --in-place: where the originals go.",
    ),
    click.option("--no-backup", is_flag=True, help="With --in-place: do not keep the originals."),
]

_QUALITY: list[Decorator[Any]] = [
    click.option(
        "-q",
        "--quality",
        type=int,
        metavar="N",
        help="1 to 100.  [default: the format's own; of a JPEG whose size stays: its own]",
    ),
    click.option(
        "--max-bytes",
        type=Amount("B"),
        metavar="SIZE",
        help="Find the highest quality at which a file is not larger, as in 500KB (JPEG, WebP, "
        "AVIF, HEIC): up to --quality, or 95; below 40 the picture is made smaller.",
    ),
    click.option(
        "--keep-smaller",
        is_flag=True,
        help="Copy the source where only its coding would change, and the result be larger.",
    ),
    click.option(
        "--lossless", is_flag=True, help="Lose nothing, where the format can (WebP, JPEG 2000)."
    ),
    click.option(
        "--subsampling",
        metavar="RATIO",
        help="Of colour, in JPEG, AVIF and HEIC: 4:4:4, 4:2:2 or 4:2:0.  [default: 4:2:0; in "
        "JPEG 4:4:4 from quality 90 on]",
    ),
    click.option("--progressive", is_flag=True, help="Write progressive JPEG."),
    click.option(
        "--effort",
        type=int,
        metavar="N",
        help="1 (fast) to 10 (small files), for JPEG, PNG, WebP, AVIF and HEIC.",
    ),
    click.option(
        "--compression",
        metavar="NAME",
        help="Of TIFF: none, packbits, lzw, deflate, zstd or jpeg.  [default: deflate]",
    ),
    click.option("--dither/--no-dither", default=True, help="Of GIF.  [default: yes]"),
]

_HOW: list[Decorator[Any]] = [
    click.option(
        "--background",
        default="white",
        show_default=True,
        metavar="COLOUR",
        help="A CSS colour, for pad, and below transparency that a format cannot hold.",
    ),
    click.option(
        "--metadata",
        default="all",
        show_default=True,
        metavar="POLICY",
        help="all, no-gps, copyright or none. Orientation is always applied.",
    ),
    click.option("--artist", metavar="TEXT", help="Enter who took the pictures."),
    click.option("--copyright", metavar="TEXT", help="Enter whose they are."),
    click.option(
        "--profile",
        default="keep",
        show_default=True,
        metavar="PROFILE",
        help="Colour profile: keep, srgb (convert), or an ICC file to convert to.",
    ),
    click.option(
        "--intent",
        default="relative",
        show_default=True,
        metavar="NAME",
        help="How colours are converted: relative, perceptual, saturation or absolute.",
    ),
]

_RUN: list[Decorator[Any]] = [
    click.option(
        "-j",
        "--jobs",
        type=int,
        metavar="N",
        help="Processes.  [default: the processors this one may use]",
    ),
    click.option(
        "--timeout",
        type=float,
        default=300.0,
        show_default=True,
        metavar="SECONDS",
        help="Give a picture up that takes longer.",
    ),
    click.option(
        "--memory",
        type=Amount("B"),
        metavar="SIZE",
        help="For all pictures in hand together, as in 2GB.  [default: 60 % of what there is]",
    ),
    click.option(
        "--max-pixels",
        type=Amount("P"),
        default="250MP",
        show_default=True,
        metavar="N",
        help="Refuse larger pictures, before they are decoded.",
    ),
    click.option(
        "--strict", is_flag=True, help="Fail a picture of which something cannot be kept."
    ),
    click.option(
        "--preserve-dates", is_flag=True, help="Give outputs the date and time of their source."
    ),
    click.option(
        "--raw-preview",
        is_flag=True,
        help="Take the JPEG inside a camera's raw file instead of developing it.",
    ),
    click.option(
        "--salvage", is_flag=True, help="Keep what there is of a truncated picture, with a warning."
    ),
    click.option(
        "--recursive/--no-recursive", default=True, help="Go into subfolders.  [default: yes]"
    ),
    click.option(
        "--include",
        multiple=True,
        metavar="GLOB",
        help="Only files whose path below the folder matches. Repeatable.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="GLOB",
        help="No files whose path below the folder matches. Repeatable.",
    ),
    click.option("--null", is_flag=True, help="A list on standard input is NUL-separated."),
    click.option("-n", "--dry-run", is_flag=True, help="Say what would be done; write nothing."),
    click.option(
        "--report",
        metavar="FILE",
        type=click.Path(allow_dash=True),
        help="Write a report in JSON Lines; - for standard output.",
    ),
    click.option("--quiet", is_flag=True, help="No bar and no summary, only failures."),
    click.option("-v", "--verbose", is_flag=True, help="A line for each file."),
]


def _format_option(required: bool) -> Decorator[Any]:
    # To click even a default of None would be a value, and nothing would be missing.
    preset: dict[str, Any] = {} if required else {"default": "keep", "show_default": True}
    return click.option(
        "-f",
        "--format",
        required=required,
        metavar="FORMAT",
        help=("" if required else "keep, or ") + f"{', '.join(formats.WRITABLE)}.",
        **preset,
    )


def _filter_option(required: bool) -> Decorator[Any]:
    return click.option(
        "--filter",
        "filters",
        required=required,
        multiple=True,
        metavar="NAME[:k=v,…]",
        help="An operation, as in sharpen:amount=0.8. Repeatable, in order; "
        "`imgbatch operations` lists them.",
    )


_SAVE_RECIPE = click.option(
    "--save-recipe",
    metavar="FILE",
    type=click.Path(),
    help="Write what these options mean as a recipe (TOML), also with --dry-run; then go on.",
)


def shared(
    *, size: bool = False, format_required: bool = False, filter_required: bool = False
) -> Callable[[AnyFunction], AnyFunction]:
    """All the options of a command that makes pictures, in the order of its help."""
    options = [
        *_WHERE[:1],
        *(_SIZE if size else []),
        _format_option(format_required),
        *_QUALITY,
        _filter_option(filter_required),
        *_HOW,
        *_WHERE[1:],
        *_RUN,
        _SAVE_RECIPE,
    ]
    return _with(options, paths_required=True)


def of_a_recipe(function: AnyFunction) -> AnyFunction:
    """The options of the command that carries out a recipe: those that count for all outputs."""
    options = [*_WHERE, _format_option(required=False), *_QUALITY, *_HOW, *_RUN]
    return _with(options, paths_required=False)(function)


def _with(
    options: list[Decorator[Any]], *, paths_required: bool
) -> Callable[[AnyFunction], AnyFunction]:
    def decorate(function: AnyFunction) -> AnyFunction:
        for option in reversed(options):
            function = option(function)
        decorated: AnyFunction = _paths(paths_required)(function)
        return decorated

    return decorate


_OUTPUT_WORDS = (
    *("format", "quality", "max_bytes", "keep_smaller", "subsampling", "progressive"),
    *("lossless", "effort", "compression", "dither"),
    *("background", "metadata", "artist", "copyright", "profile", "intent", "template"),
)
"""What may be said of every output of a recipe."""

_RECIPE_WORDS = (
    *("sizes", "fit", "enlarge", "gravity", "kernel", "linear", "filters", "raw_preview"),
    *_OUTPUT_WORDS,
)


def recipe_of(name: str, options: dict[str, Any]) -> Recipe:
    """The recipe that a command's options mean."""
    from imgbatch.recipes.recipe import Recipe

    words = {key: options[key] for key in _RECIPE_WORDS if key in options}
    return Recipe.from_options(name, **words)


def overrides(context: click.Context) -> dict[str, Any]:
    """The words that were really given, and not left at their defaults."""
    given = click.core.ParameterSource.COMMANDLINE
    found = {
        key: value
        for key, value in context.params.items()
        if key in _OUTPUT_WORDS and context.get_parameter_source(key) is given
    }
    if found.get("profile", "srgb") not in ("keep", "srgb"):
        # A file that is named here is not looked for beside the recipe.
        found["profile"] = os.path.abspath(found["profile"])
    return found


def settings_of(options: dict[str, Any]) -> Settings:
    """Where its sources come from and its outputs go."""
    from imgbatch.planning.scan import Selection
    from imgbatch.running.batch import Settings

    _check_backup(options)
    paths: tuple[str, ...] = options["paths"]
    listed = tuple(_listed(b"\0" if options["null"] else b"\n")) if "-" in paths else None
    return Settings(
        paths=tuple(path for path in paths if path != "-"),
        listed=listed,
        output=options["output"],
        jobs=options["jobs"],
        selection=Selection(options["recursive"], options["include"], options["exclude"]),
        flat=options["flat"],
        on_conflict=options["on_conflict"],
        force=options["force"],
        in_place=options["in_place"],
        backup=options["backup"],
        salvage=options["salvage"],
        strict=options["strict"],
        preserve_dates=options["preserve_dates"],
        sort=options["sort"],
        limits=Limits(options["timeout"], options["memory"], options["max_pixels"]),
    )


def _check_backup(options: dict[str, Any]) -> None:
    """Raise UsageError unless it is said what becomes of originals that are replaced."""
    given = bool(options["backup"] is not None) + options["no_backup"]
    if given and not options["in_place"]:
        raise UsageError("--backup and --no-backup belong to --in-place")
    if options["in_place"] and given != 1:
        raise UsageError(
            "--in-place replaces the originals: say --backup DIR to keep them there, "
            "or --no-backup (not both)"
        )


# Some ten million names.
_MOST_LISTED: Final = 1_000_000_000


def _listed(separator: bytes) -> Iterator[str]:
    data = sys.stdin.buffer.read(_MOST_LISTED + 1)
    if len(data) > _MOST_LISTED:
        raise UsageError(
            f"found more than {_MOST_LISTED / 1e9:g} GB on standard input, expected a list of files"
        )
    for name in data.split(separator):
        if name:
            yield os.fsdecode(name)
