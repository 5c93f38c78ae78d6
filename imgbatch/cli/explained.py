"""A recipe in words, for `--explain`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator

from imgbatch.imaging import formats
from imgbatch.model import METADATA_POLICIES, Encoding
from imgbatch.operations import Operation, words_of
from imgbatch.operations.geometry import Resize
from imgbatch.operations.profile import ConvertProfile
from imgbatch.plurals import counted
from imgbatch.recipes.recipe import Recipe
from imgbatch.recipes.toml import written


def explained(recipe: Recipe) -> list[str]:
    """The recipe with all defaults spelled out, its digest, and each output's steps, as lines."""
    lines = [*written(recipe).rstrip().split("\n"), "", f"digest {recipe.digest}", ""]
    if recipe.raw_preview:
        lines.append("Raw files: the embedded JPEG is used.")
    if recipe.prepare:
        lines += ["Once, after decoding:", *_numbered(map(_step, recipe.prepare)), ""]
    for output in recipe.outputs:
        steps = [_step(operation) for operation in output.operations]
        steps.append(_saved(output.encoding))
        lines += [f"{output.name} -> {output.template.text}", *_numbered(steps)]
        lines += [f"  digest {recipe.digest_of(output)}", ""]
    return lines[:-1]


def _numbered(steps: Iterable[str]) -> Iterator[str]:
    return (f"  {number}. {step}" for number, step in enumerate(steps, 1))


def _step(operation: Operation) -> str:
    if isinstance(operation, Resize):
        return _resized(operation)
    if isinstance(operation, ConvertProfile):
        where = "sRGB" if operation.icc is None else operation.path
        return f"convert colours to {where}, {operation.intent} intent"
    meant = (inspect.getdoc(type(operation)) or "").splitlines()[0]
    return f"{words_of(operation)} ({meant})"


_FITS = {
    "inside": "fit into {size}",
    "outside": "cover {size}, nothing cropped",
    "cover": "fill {size}, the excess cropped (keeping {gravity})",
    "pad": "fit into {size}, padded with the background (picture at {gravity})",
    "exact": "be exactly {size}, ignoring the ratio",
}


def _resized(resize: Resize) -> str:
    words = _FITS[resize.fit] if resize.spec.is_box else "be {size}"
    how = words.format(size=resize.spec, gravity=resize.gravity)
    larger = "smaller pictures are enlarged" if resize.enlarge else "never enlarged"
    light = ", in linear light" if resize.linear else ""
    return f"resize to {how}; {larger} ({resize.kernel}{light})"


def _saved(encoding: Encoding) -> str:
    row = formats.BY_NAME[encoding.format] if encoding.format else None
    words = [f"save as {row.label}" if row else "save in the source's format"]
    if encoding.lossless:
        words.append("lossless")
    elif encoding.quality is not None:
        words.append(f"quality {encoding.quality}")
    if encoding.max_bytes is not None:
        words.append(f"at most {counted(encoding.max_bytes, 'byte', spec=',')}")
    if encoding.keep_smaller:
        words.append("unless the source is smaller")
    words.append(METADATA_POLICIES[encoding.metadata])
    return ", ".join(words)
