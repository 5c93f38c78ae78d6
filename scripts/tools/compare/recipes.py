"""The table: command lines that together cover all commands, formats, settings and operations."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import click

from imgbatch import operations
from imgbatch.cli.commands import group
from imgbatch.imaging import formats
from imgbatch.recipes.toml import presets

WORKING: Final = frozenset({"resize", "convert", "filter", "run"})
"""Commands that take pictures."""
_IDLE: Final = frozenset({"-n", "--explain", "--help"})

PRESETS: Final = tuple(sorted(presets()))

ADDED: Final = frozenset({"jobs", "report"})
"""Options given to every command that makes pictures (`sides`)."""

ABOUT_ITSELF: Final = frozenset({"doctor"})
"""Commands that tell of the installation that runs them, so that no two tell the same."""

ALL: Final = "ALL"
FEW: Final = "FEW"
"""Placeholders for the pictures: all of them; the small ones, where there is a choice."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Command lines that run one after the other in one folder, and what they need.

    Next to the folder is `../assets` (`sources.plant_assets`). `in_place` gives the entry pictures
    of its own, which are compared as well. `dates` compares the times of files. `refused` says that
    wrong usage is intended. `stdin` is given to each command.
    """

    name: str
    commands: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    stdin: str = ""
    jobs: int = 2
    in_place: bool = False
    dates: bool = False
    refused: bool = False

    def words(self) -> Iterator[list[str]]:
        """Each command, split into words."""
        for line in self.commands:
            yield shlex.split(line)


def works(words: list[str]) -> bool:
    """Whether a command makes pictures: then it accepts --jobs, and may write a report."""
    return words[0] in WORKING and not _IDLE & set(words)


def _delivery(*operation_words: str, size: str = "96") -> str:
    """A recipe with one output for each operation, so that each differs separately."""
    outputs = []
    for number, words in enumerate(operation_words, 1):
        name = f"{words.partition(':')[0]}-{number}"
        quoted = words.replace('"', '\\"')
        outputs.append(f'[[output]]\nname = "{name}"\nsize = "{size}"\noperations = ["{quoted}"]\n')
    return "\n".join(outputs)


_LIGHT: Final = _delivery(
    *("autocontrast", "brightness:amount=1.3", "contrast:amount=1.4", "curves"),
    *("equalize", "exposure:stops=0.7", "gamma:amount=1.6", "invert"),
    *("levels:black=20,white=225,gamma=1.15", "posterize", "threshold"),
    "shadows-highlights:shadows=0.6,highlights=0.4",
)
_COLOUR: Final = _delivery(
    *("grayscale", "hue:angle=60", "saturation:amount=1.7", "sepia", "vibrance:amount=0.8"),
    *("white-balance", "white-balance:temperature=4000,tint=10"),
    *("lut:file=../assets/film.cube", "lut:file=../assets/film.cube,amount=0.5"),
)
_DETAIL: Final = _delivery(
    *("blur", "clarity:amount=0.6", "denoise:strength=0.5,colour=0.8", "denoise:method=median"),
    *("output-sharpen:strength=high", "sharpen", "unsharp:radius=2,amount=1.5,threshold=3"),
)
_SHAPE: Final = _delivery(
    *("border:size=4,line=1,bottom=2", "crop:ratio=1:1", "crop:geometry=50%x50%", "flip"),
    *("flip:direction=vertical", "rotate", "rotate:angle=4,fit=crop", "rotate:angle=-30"),
    *("smart-crop", "smart-crop:ratio=16:9,zoom=1.5", "trim", "trim:tolerance=40,margin=2"),
)
_FINISH: Final = _delivery(
    *("grain", "grain:colour=yes,size=3", "text:text={stem},size=8", "vignette"),
    *("watermark:file=../assets/logo.png", "watermark:file=../assets/logo.png,tile=yes"),
    *("text:text=proof,rotate=diagonal,size=40,gravity=center", "text:x=20,y=50%,rotate=90"),
    *("text:tile=yes,rotate=-30,spacing=20", "watermark:file=../assets/logo.png,rotate=20,x=5%"),
    size="160",
)
_WHOLE: Final = """\
[prepare]
profile = "srgb"
operations = ["white-balance", "curves:preset=soft-contrast", "vibrance"]

[defaults]
copyright = "© 2026 Ada Licht"
metadata = "no-gps"

[[output]]
name = "print"
size = "1200"
quality = 92
format = "jpeg"
operations = ["output-sharpen:medium=glossy"]
path = "print/{dir}/{date:%Y-%m-%d}_{seq:04d}{ext}"

[[output]]
name = "square"
size = "200"
format = "webp"
max-bytes = "9KB"
operations = ["smart-crop:ratio=1:1", "resize", "sharpen"]
path = "square/{dir}/{seq:04d}-{camera}{ext}"

[[output]]
name = "thumb"
size = "64x64"
fit = "cover"
metadata = "none"
operations = [{ name = "text", text = "{seq}", size = 12 }]
path = "thumb/{dir}/{seq:04d}-{parent}{ext}"
"""

_RENAME: Final = "--on-conflict rename"

TABLE: Final[tuple[Entry, ...]] = (
    Entry("default", ("resize ALL",), jobs=1),
    Entry(
        "web",
        (
            "resize ALL -o out -s 320 -f jpeg -q 82 --progressive --effort 3 --filter sharpen "
            f"--metadata no-gps --background #808080 {_RENAME}",
        ),
    ),
    Entry(
        "sizes",
        ("resize ALL -o out -s large=500 -s web=200 -s thumb=48x48 --fit cover --gravity north",),
    ),
    Entry(
        "fits",
        (
            f"resize FEW -o pad -s 80x80 --fit pad --enlarge --background navy {_RENAME}",
            "resize FEW -o exact -s 40x64 --fit exact --kernel mitchell",
            "resize FEW -o outside -s 40x40 --fit outside --kernel bilinear",
            "resize FEW -o share -s 150% --enlarge --kernel bicubic",
            "resize FEW -o high -s x30 --kernel hamming",
            "resize FEW -o wide -s 30x --kernel nearest",
            "resize FEW -o area -s 0.001MP --kernel box",
        ),
        jobs=1,
    ),
    Entry("linear", ("resize ALL -o out -s 240 --linear",)),
    Entry(
        "max-bytes",
        (
            f"resize FEW -o jpeg -f jpeg --max-bytes 1500 {_RENAME}",
            f"resize FEW -o webp -f webp --max-bytes 700B --metadata none {_RENAME}",
            f"resize FEW -o avif -f avif --max-bytes 900B --metadata none {_RENAME}",
            f"resize FEW -o heif -f heif --max-bytes 1200 --metadata none {_RENAME}",
            f"resize ALL -o all -s 400 -f jpeg --max-bytes 12KB {_RENAME}",
        ),
    ),
    Entry(
        "jpeg",
        (
            f"convert ALL -f jpeg -o plain {_RENAME}",
            f"convert FEW -f jpeg -o chroma --subsampling 4:2:2 -q 95 {_RENAME}",
        ),
    ),
    Entry(
        "png",
        (
            f"resize ALL -o plain -s 300 -f png {_RENAME}",
            f"convert FEW -o small -f png --effort 7 {_RENAME}",
        ),
    ),
    Entry(
        "webp",
        (
            f"resize ALL -o lossy -s 300 -f webp -q 70 --effort 4 {_RENAME}",
            f"convert FEW -o lossless -f webp --lossless {_RENAME}",
        ),
    ),
    Entry(
        "avif",
        (
            f"resize ALL -o plain -s 160 -f avif -q 50 {_RENAME}",
            f"convert FEW -o full -f avif --effort 2 --subsampling 4:4:4 {_RENAME}",
        ),
    ),
    Entry(
        "heif",
        (
            f"resize FEW -o plain -s 64 -f heif -q 60 --effort 2 {_RENAME}",
            f"convert FEW -o lossless -f heif --lossless --subsampling 4:4:4 {_RENAME}",
        ),
    ),
    Entry(
        "jxl",
        (
            f"resize FEW -o plain -s 64 -f jxl -q 60 --effort 2 {_RENAME}",
            f"convert FEW -o lossless -f jxl --lossless {_RENAME}",
            f"resize FEW -o limit -f jxl --max-bytes 1200 --metadata none {_RENAME}",
        ),
    ),
    Entry(
        "tiff",
        (
            f"resize ALL -o plain -s 300 -f tiff {_RENAME}",
            *(
                f"convert FEW -o {name} -f tiff --compression {name} {_RENAME}"
                for name in ("none", "packbits", "lzw", "zstd")
            ),
            f"convert FEW -o jpeg -f tiff --compression jpeg -q 80 {_RENAME}",
        ),
    ),
    Entry(
        "gif",
        (
            f"resize ALL -o dithered -s 160 -f gif --dither {_RENAME}",
            f"convert FEW -o plain -f gif --no-dither {_RENAME}",
            f"convert FEW -o few -f gif --colours 16 {_RENAME}",
        ),
    ),
    Entry(
        "colours",
        (
            f"resize ALL -o png -s 160 -f png --colours 64 {_RENAME}",
            *(
                f"convert FEW -o {name} -f {name} --colours 16 --no-dither {_RENAME}"
                for name in ("png", "tiff", "bmp", "tga")
            ),
        ),
    ),
    Entry(
        "jpeg2000",
        (
            f"resize FEW -o lossy -s 64 -f jpeg2000 -q 60 {_RENAME}",
            f"convert FEW -o lossless -f jpeg2000 --lossless {_RENAME}",
        ),
    ),
    Entry(
        "dpi",
        tuple(
            f"resize FEW -o {name} -s 64 -f {name} --dpi 300 {_RENAME}"
            for name in sorted(row.name for row in formats.FORMATS if "dpi" in row.settings)
        ),
    ),
    Entry(
        "simple-formats",
        tuple(
            f"resize FEW -o {name} -s 64 -f {name} {_RENAME}"
            for name in ("bmp", "ppm", "qoi", "ico", "tga")
        ),
    ),
    Entry(
        "metadata",
        (
            "resize ALL -o none -s 64 --metadata none",
            "resize FEW -o rights -s 64 --metadata copyright",
            "resize FEW -o entered -s 64 --metadata no-gps --artist 'Ada L.' --copyright '© Ada'",
            "convert FEW -o jpeg -f jpeg --metadata no-gps --on-conflict rename",
            "convert FEW -o nameless -f webp --metadata no-location --on-conflict rename",
        ),
    ),
    Entry(
        "profiles",
        (
            f"convert ALL -o srgb -f png --profile srgb {_RENAME} --exclude *mountains*",
            f"resize FEW -o file -s 64 -f tiff --profile ../assets/wide.icc {_RENAME}",
            "resize FEW -o perceptual -s 64 --profile srgb --intent perceptual",
        ),
    ),
    Entry(
        "filter",
        (
            "filter ALL -o out --filter grayscale --filter contrast:amount=1.2 -q 75",
            "filter FEW -o kept --filter rotate:angle=90",
        ),
        jobs=1,
    ),
    Entry("light", ("run light.toml ALL -o out",), {"light.toml": _LIGHT}),
    Entry("colour", ("run colour.toml ALL -o out",), {"colour.toml": _COLOUR}),
    Entry("detail", ("run detail.toml ALL -o out",), {"detail.toml": _DETAIL}),
    Entry("shape", ("run shape.toml ALL -o out",), {"shape.toml": _SHAPE}),
    Entry("finish", ("run finish.toml ALL -o out",), {"finish.toml": _FINISH}),
    Entry(
        "delivery",
        ("run whole.toml ALL -o out --sort date", "run whole.toml ALL -o out --sort date"),
        {"whole.toml": _WHOLE},
    ),
    *(Entry(f"preset-{name}", (f"run {name} FEW -o out {_RENAME}",), jobs=1) for name in PRESETS),
    Entry(
        "names",
        (
            "resize ALL -o dates -s 48 --name {date:%Y/%m}/{seq:04d}_{camera}{ext!l} --sort date",
            "resize ALL -o flat -s 48 --flat --name {parent}-{stem!u}-{width}x{height}{ext} "
            f"{_RENAME}",
            "resize FEW -o dir -s a=48 -s b=24 --name {output}/{dir}/{stem:.5}-{seq}{ext}",
        ),
    ),
    Entry(
        "reruns",
        (
            "resize FEW -o out -s 48",
            "resize FEW -o out -s 48",
            "resize FEW -o out -s 40",
            "resize FEW -o out -s 40 --force",
            "resize FEW -o out -s 40 --on-conflict skip -f webp",
            "resize FEW -o out -s 40 -n",
            "resize FEW -o out -s 40 -f webp --prune",
        ),
    ),
    Entry(
        "outputs",
        (
            "resize FEW -o in/web -s 40 --links",
            "resize FEW -o all -s 20 --include-outputs --no-links",
        ),
    ),
    Entry(
        "subfolder",
        (f"resize FEW --subfolder web -s 40 {_RENAME}", "resize FEW --subfolder thumb -s 20 -n"),
        in_place=True,
    ),
    Entry(
        "in-place",
        (
            "resize FEW --in-place --backup originals -s 50 --exclude *.dng -n",
            "resize FEW --in-place --backup originals -s 50 --exclude *.dng",
            "resize FEW --in-place --backup originals -s 50 --exclude *.dng",
        ),
        in_place=True,
    ),
    Entry(
        "in-place-bare",
        ("filter FEW --in-place --no-backup --filter invert --metadata no-gps --exclude *.dng",),
        jobs=1,
        in_place=True,
    ),
    Entry(
        "dry-run",
        (
            "resize ALL -o out -s 300 -n",
            "convert ALL -o out -f webp -n --on-conflict rename",
            "run web-gallery ALL -o out -n --on-conflict rename",
            "resize FEW -o out -s web=300 -f webp -q 70 --linear -n --save-recipe saved.toml "
            "--on-conflict rename",
        ),
        jobs=1,
    ),
    Entry(
        "explain",
        (
            *(f"run {name} FEW --explain" for name in PRESETS),
            "run whole.toml FEW --explain --quality 50",
        ),
        {"whole.toml": _WHOLE},
    ),
    Entry(
        "limits",
        (
            "resize ALL -o strict -s 48 --strict",
            "resize ALL -o salvage -s 48 --salvage --verbose --recursive",
            "resize ALL -o pixels -s 48 --max-pixels 1MP --timeout 200 --memory 1GB",
            "resize ALL -o quiet -s 48 --quiet --no-recursive",
            "convert FEW -o smaller -f jpeg --keep-smaller --include *.jpg --exclude every*",
        ),
    ),
    Entry("raw-preview", ("resize FEW -o out -s 300 --raw-preview --include *.dng",)),
    Entry(
        "dates",
        ("resize FEW -o out -s 48 --preserve-dates",),
        dates=True,
    ),
    Entry(
        "list",
        ("resize - -o out -s 48 --null",),
        stdin="in\0in/not-there.jpg\0",
        jobs=1,
    ),
    Entry(
        "telling",
        (
            "--help",
            "--version",
            *(f"{name} --help" for name in group.list_commands(click.Context(group))),
            "formats",
            "presets",
            *(f"presets {name}" for name in PRESETS),
            "operations",
            *(f"operations {name}" for name in ("crop", "text", "white-balance")),
            "completion bash",
        ),
    ),
    Entry(
        "refused",
        (
            "resize ALL -o out --name same{ext}",
            "resize ALL -o out --quality 101",
            "resize ALL -o out --filter nothing",
            "resize ALL -o out --filter sharpen:amount=much",
            "resize not-there -o out",
            "resize ALL -o out -f docx",
            "resize ALL -o in",
            "resize ALL --in-place -f webp",
            "run not-there ALL",
            "convert ALL -o out",
            "shrink ALL",
        ),
        refused=True,
    ),
    Entry(
        "defaults",
        (
            "resize FEW -o out -s 64 --config house.toml",
            # The times in a log are no difference.
            "convert FEW -o plain -f webp --no-config --wait 2m --log ../assets/run.log",
        ),
        files={"house.toml": 'quality = 40\ncopyright = "© Ada"\nexclude = ["*.gif"]\n'},
    ),
)


def lacking(table: Iterable[Entry] = TABLE) -> list[str]:
    """What exists in the working tree but is used by no entry of the table."""
    entries = list(table)
    commands = [words for entry in entries for words in entry.words()]
    outputs = list(_outputs(entries))
    used = {words[0] for words in commands if "--help" not in words}
    missing = [
        f"command {name}"
        for name in group.list_commands(click.Context(group))
        if name not in used | ABOUT_ITSELF
    ]
    missing += [
        f"option {'/'.join(option.opts)}"
        for option in _options()
        if option.name not in ADDED and not any(set(option.opts) & set(words) for words in commands)
    ]
    for row in formats.FORMATS:
        if row.becomes is not None:
            continue
        covered: set[str] = set()
        for one in outputs:
            if one.get("format") == row.name:
                covered |= {"format", *one}
        missing += [
            f"{part} of format {row.name}"
            for part in ("format", *sorted(row.settings))
            if part not in covered
        ]
    applied = {name for one in outputs for name in one["operations"]}
    missing += [f"operation {name}" for name in own_operations() if name not in applied]
    return missing


def own_operations() -> list[str]:
    """Names of imgbatch's own operations, without those of other packages."""
    return [
        name for name, kind in operations.names().items() if kind.__module__.startswith("imgbatch.")
    ]


def _options() -> list[click.Option]:
    """Every option of the commands that make pictures, once."""
    context = click.Context(group)
    found: dict[str, click.Option] = {}
    for name in sorted(WORKING):
        command = group.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name:
                found.setdefault(parameter.name, parameter)
    return list(found.values())


def _outputs(entries: Iterable[Entry]) -> Iterator[dict[str, Any]]:
    """The settings and operations of each command line and each output of a recipe."""
    for entry in entries:
        for words in entry.words():
            yield _of_line(words)
        for text in entry.files.values():
            recipe = tomllib.loads(text)
            prepared = recipe.get("prepare", {}).get("operations", [])
            for output in recipe.get("output", ()):
                given = {key.replace("-", "_"): value for key, value in output.items()}
                given["operations"] = [
                    _name_of(one) for one in (*prepared, *output.get("operations", ()))
                ]
                yield given


def _of_line(words: list[str]) -> dict[str, Any]:
    short = {"-f": "format", "-q": "quality"}
    given: dict[str, Any] = {"operations": []}
    for word, value in zip(words, [*words[1:], ""], strict=True):
        if word == "--filter":
            given["operations"].append(_name_of(value))
        elif word in short:
            given[short[word]] = value
        elif word.startswith("--"):
            key = word.removeprefix("--no-") if word == "--no-dither" else word.removeprefix("--")
            given[key.replace("-", "_")] = value
    return given


def _name_of(operation: str | dict[str, Any]) -> str:
    if isinstance(operation, str):
        return operation.partition(":")[0]
    return str(operation["name"])
