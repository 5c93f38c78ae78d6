"""What people type who know other programs, or guess: what to type here instead."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from imgbatch.recipes.settings import RESIZING

_OPTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("width", "w"), "did you mean --size {}x?"),
        **dict.fromkeys(("height", "h"), "did you mean --size x{}?"),
        **dict.fromkeys(("scale", "resize", "max-size", "long-edge"), "did you mean --size {}?"),
        **dict.fromkeys(
            ("overwrite", "clobber", "replace", "yes", "y"), "did you mean --on-conflict overwrite?"
        ),
        **dict.fromkeys(
            ("strip", "strip-all", "no-metadata", "no-exif"), "did you mean --metadata none?"
        ),
        **dict.fromkeys(("no-gps", "strip-gps"), "did you mean --metadata no-gps?"),
        **dict.fromkeys(
            ("threads", "workers", "processes", "parallel", "cpus"), "did you mean --jobs {}?"
        ),
        **dict.fromkeys(("preset", "recipe"), "did you mean `imgbatch run {} {paths}`?"),
        **dict.fromkeys(("out", "outdir", "out-dir", "dest"), "did you mean --output {}?"),
        **dict.fromkeys(("subdir", "sub-folder"), "did you mean --subfolder {}?"),
        **dict.fromkeys(("type", "extension", "ext", "to"), "did you mean --format {}?"),
        **dict.fromkeys(("prefix", "suffix"), "names are templates: --name '{{stem}}-web{{ext}}'"),
        **dict.fromkeys(("resample", "interpolation"), "did you mean --kernel {}?"),
        **dict.fromkeys(("icc", "color-profile", "colour-profile"), "did you mean --profile {}?"),
        **dict.fromkeys(("bg", "background-color"), "did you mean --background {}?"),
        **dict.fromkeys(("density", "resolution"), "did you mean --dpi {}?"),
        **dict.fromkeys(("filesize", "max-filesize"), "did you mean --max-bytes {}?"),
        **dict.fromkeys(("upscale", "allow-enlarge"), "did you mean --enlarge?"),
        **dict.fromkeys(("simulate", "just-print"), "did you mean --dry-run?"),
        **dict.fromkeys(("silent", "no-progress"), "did you mean --quiet?"),
        **dict.fromkeys(("recurse", "r", "R"), "omit it: subfolders are included"),
        **dict.fromkeys(
            ("auto-orient", "autorotate", "auto-rotate"), "omit it: pictures are always upright"
        ),
        "watermark": "did you mean --filter watermark:file={}?",
        "crop": "did you mean --filter crop:ratio={}, or --fit cover with a --size?",
        "text": "did you mean --filter 'text:text=\"{}\"'?",
        "rotate": "did you mean --filter rotate:angle={}?",
        **dict.fromkeys(("bw", "grey", "gray"), "did you mean --filter grayscale?"),
    }
)
"""Options of other programs (GraphicsMagick, vipsthumbnail, mogrify, sharp), and what they are
called here; {} is the value that was given, {paths} are the PATHs."""


def for_option(
    word: str, value: str | None, known: Collection[str], others: Sequence[str] = ()
) -> str:
    """What helps whoever typed the option `word`, which there is not; its value may be `value`.

    `known` are the long options that there are; the PATHs may be among the `others`.
    """
    from imgbatch.operations import names

    name = word.lstrip("-")
    if f"--{name}" in known:
        return f"did you mean --{name}?"
    if name in ("size", "s", *RESIZING):
        if "--size" in known:
            return "did you mean --size?"
        return "sizes are for `imgbatch resize`"
    if (remedy := _OPTIONS.get(name)) is not None:
        paths = shlex.join(filter(os.path.exists, others)) or "PATH"
        return remedy.format("VALUE" if value is None else value, paths=paths)
    if name in names():
        return f"did you mean --filter {name}?"
    near = difflib.get_close_matches(f"--{name}", known, n=1)
    return f"did you mean {near[0]}?" if near else "see --help"


def for_command(
    word: str, commands: Collection[str], rest: Sequence[str], presets: Collection[str] = ()
) -> str:
    """What helps whoever typed a command that there is not; `rest` are the words after it, and
    `presets` the user's own."""
    from imgbatch.operations import names
    from imgbatch.recipes.toml import is_recipe

    place = shlex.join(rest) or "PATH"
    if is_recipe(word) or word in presets:
        return f"did you mean `imgbatch run {word} {place}`?"
    if word in names():
        return f"did you mean `imgbatch filter {place} --filter {word}`?"
    if near := difflib.get_close_matches(word, commands, n=1):
        return f"did you mean {near[0]}?"
    if os.path.exists(word):
        return f"did you mean `imgbatch resize {shlex.join([word, *rest])}`?"
    return f"the commands are {', '.join(commands)}."


def for_missing_filter(words: Sequence[str]) -> str | None:
    """What helps whoever named an operation without --filter, if somebody did."""
    from imgbatch.operations import names

    found = [word for word in words if word.partition(":")[0] in names()]
    return f"did you mean --filter {shlex.quote(found[0])}?" if found else None
