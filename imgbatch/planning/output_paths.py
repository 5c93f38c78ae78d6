"""Where outputs go: the paths that name templates give, and what may be wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from imgbatch.imaging import formats
from imgbatch.model import Source, Target
from imgbatch.naming import UNKNOWN, date_of, folded, parent_of
from imgbatch.planning.numbering import Facts
from imgbatch.recipes.recipe import Output, Recipe
from imgbatch.store import regular, worker_log

LONGEST_NAME: Final = 255
"""The bytes that a file or folder name may have on nearly all file systems."""

# In characters, which have four bytes at most.
_SURELY_SHORT: Final = LONGEST_NAME // 4
_TELLING: Final = frozenset({"stem", "seq"})


class Conflict(Struct, frozen=True):
    """Something in the way of a target, in words, and the option that helps."""

    source: Source
    target: str
    message: str
    remedy: str


class Targets:
    """The targets of a recipe's outputs, below the folder `output`.

    With `flat` the sources' folders are not mirrored; with a `subfolder` each has one.
    """

    def __init__(self, recipe: Recipe, output: str, *, flat: bool, subfolder: str = "") -> None:
        self._outputs = recipe.outputs
        self._prefix = os.path.join(output, "")
        self._flat = flat
        self._subfolder = subfolder
        self._name_parents = any("parent" in out.template.fields for out in recipe.outputs)
        self._suffixed = {
            out.name: row
            for out in recipe.outputs
            if out.encoding.format is None
            and out.template.suffix
            and (row := formats.of_suffix(out.template.suffix)) is not None
        }
        self.need_header = any(out.template.needs_header for out in recipe.outputs)
        """Whether a name needs anything that only a header tells."""

    def path(self, relative: str) -> str:
        """The path of a target. Like Target.path, which is more expensive to build."""
        if os.sep == "/":
            return f"{self._prefix}{relative}"
        return self._prefix + relative.replace("/", os.sep)

    def of(self, source: Source, seq: int, facts: Facts | None) -> list[str] | Conflict:
        """Where each output of a source goes, below the output folder, or why it cannot.

        `seq` is the source's number; `facts` come from its header, None if no name needs them.
        """
        values = self._values(source, seq, facts)
        owners: dict[str, str] = {}
        found: list[str] = []
        for output in self._outputs:
            relative = self._relative(source, output, values, facts)
            if isinstance(relative, Conflict):
                return relative
            if (wrong := self.too_long(source, relative)) is not None:
                return wrong
            if self._suffixed and (lies := self._other_suffix(source, output)) is not None:
                return lies
            twin = owners.setdefault(folded(relative), output.name)
            if twin != output.name:
                path = self.path(relative)
                return Conflict(
                    source,
                    path,
                    f"the outputs {twin} and {output.name} of {source.path} would both become "
                    f"{path}",
                    "Put {output} into --name.",
                )
            found.append(relative)
        return found

    def too_long(self, source: Source, relative: str) -> Conflict | None:
        """What is wrong with a path if a name in it is too long for any file system."""
        if len(relative) <= _SURELY_SHORT:
            return None
        for name in relative.split("/"):
            size = len(os.fsencode(name)) if len(name) > _SURELY_SHORT else 0
            if size > LONGEST_NAME:
                return Conflict(
                    source,
                    self.path(relative),
                    f"{source.path} would get a name of {size} bytes, but at most "
                    f"{LONGEST_NAME} are allowed: {name[:_SURELY_SHORT]}…",
                    "Use a shorter --name, such as '{stem:.60}{ext}', or --exclude.",
                )
        return None

    def _other_suffix(self, source: Source, output: Output) -> Conflict | None:
        """What is wrong with a suffix in --name if the source stays in another format."""
        named = self._suffixed.get(output.name)
        if named is None or _kept(formats.of_suffix(source.suffix)) in (named, None):
            return None
        stays = found_format(source)
        if stays is None or stays is named:
            return None
        return Conflict(
            source,
            source.path,
            f"{source.path} becomes a {stays.label}, but --name gives it the suffix "
            f"{output.template.suffix}",
            f"End --name with {{ext}}, or use --format {named.name}.",
        )

    def remedy(self, name: str) -> str:
        """What helps if two sources would get the same name in the output called `name`."""
        (fields,) = (out.template.fields for out in self._outputs if out.name == name)
        if fields.isdisjoint(_TELLING):
            return "Put {seq} or {stem} into --name, or use --on-conflict rename (or skip)."
        return "Use --on-conflict rename (or skip), or a --name that distinguishes them."

    def _values(self, source: Source, seq: int, facts: Facts | None) -> dict[str, object]:
        folder, _, name = source.mirrored.rpartition("/")
        stem, suffix = os.path.splitext(name)
        values: dict[str, object] = {"stem": stem, "ext": suffix, "dir": folder, "seq": seq}
        if self._name_parents:
            values["parent"] = parent_of(source)
        if facts is not None:
            values["date"] = date_of(facts.date, source.mtime_ns)
            values["camera"] = facts.camera or UNKNOWN
        return values

    def _relative(
        self, source: Source, output: Output, values: Mapping[str, object], facts: Facts | None
    ) -> str | Conflict:
        folder, suffix = str(values["dir"]), str(values["ext"])
        own = {"ext": suffix_of(suffix, output.encoding.format), "output": output.name}
        if self._subfolder:
            # The place is settled, so a name has no say in it.
            own["dir"] = ""
        rendered = output.template.render({**values, **own, **_size(output, facts)})
        if self._subfolder:
            rendered = "/".join(filter(None, (folder, self._subfolder, rendered)))
        elif folder and not self._flat and "dir" not in output.template.fields:
            rendered = f"{folder}/{rendered}"
        parts = [part for part in rendered.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            return Conflict(
                source,
                rendered,
                f"{source.path} would be written to {rendered}, outside the output folder",
                "Use another --name, or --output for another folder.",
            )
        if worker_log.FOLDER in rendered.lower() and is_own(parts):
            return Conflict(
                source,
                rendered,
                f"{source.path} would be written to {rendered}, into the folder where imgbatch "
                "keeps its journal",
                "Use another --name.",
            )
        return "/".join(parts)


def is_own(names: Iterable[str]) -> bool:
    """Whether one of the names in a path is that of imgbatch's own folder, on any system."""
    return any(folded(name) == worker_log.FOLDER for name in names)


def _size(output: Output, facts: Facts | None) -> dict[str, object]:
    if facts is None:
        return {}
    width, height = output.output_size(facts.size) if 0 not in facts.size else (0, 0)
    return {"width": width, "height": height}


@lru_cache
def suffix_of(suffix: str, format: str | None) -> str:  # noqa: A002
    """The suffix an output gets: the format's, or the source's own where that is kept."""
    if format is not None:
        return formats.BY_NAME[format].suffixes[0]
    row = _kept(formats.of_suffix(suffix.lower()))
    return row.suffix_for(suffix) if row else suffix


def _kept(row: formats.Format | None) -> formats.Format | None:
    """The format of outputs that keep that of their source."""
    return formats.BY_NAME[row.becomes] if row is not None and row.becomes is not None else row


def settled(target: Target, row: formats.Format) -> Target:
    """The target with the suffix of the format that its source turned out to have.

    The plan did not check such a path, so it must not replace anything just like that.
    """
    if not target.any_suffix or target.relative.endswith(row.suffixes):
        return target
    stem, suffix = os.path.splitext(target.relative)
    right = row.suffix_for(suffix)
    if right == suffix:
        return target
    return replace(target, relative=stem + right, replace=False)


def found_format(source: Source) -> formats.Format | None:
    """The format that a source is kept in, by its first bytes."""
    try:
        with regular.opened(source.file) as file:
            row = formats.recognise(file.read(formats.HEAD_BYTES), source.suffix)
    except (OSError, ValueError):
        return None
    return _kept(row)
