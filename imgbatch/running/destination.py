"""Where the pictures of a run go: into a folder, into one file, or beside their originals.

Names and format follow from that place: `-o b.webp` is one file in WebP, and what is made of a
single file without `-o` stands beside it, as in `a-resized.jpg`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from imgbatch.errors import NothingFoundError, UsageError
from imgbatch.imaging import formats
from imgbatch.model import STREAM
from imgbatch.naming import PLAIN, Template
from imgbatch.planning.missing_paths import missing
from imgbatch.planning.output_paths import is_own
from imgbatch.planning.scan import shared_folder
from imgbatch.recipes.recipe import Output, Recipe
from imgbatch.recipes.steps import UnsuitedError, in_format, option
from imgbatch.running.settings import Settings
from imgbatch.store.recorded import SHARED_MARK, Recorded, UnreadableError

_SEPARATORS: Final = tuple(filter(None, (os.sep, os.altsep)))


class Destination(Struct, frozen=True):
    """The folder that all targets are below, which has the journal, and what is made there.

    `folder` is empty for the working folder where the user does not name it. `recipe` has the names
    and the format of that place; `place` is what the summary calls it, for the end of a phrase. In
    a folder that it `shares` there may be pictures of other origin. With a `subfolder` targets are
    in a folder of that name beside each source, somewhere below `folder`. One that `streams` is no
    folder, but standard output.
    """

    recipe: Recipe
    folder: str
    place: str
    shares: bool = False
    subfolder: str = ""
    streams: bool = False

    @property
    def keeps_outputs(self) -> bool:
        """Whether it is a folder of outputs, where some may be left over: not if the user names
        each file."""
        return bool(self.subfolder) or not (self.streams or self.shares)


def destination(recipe: Recipe, settings: Settings) -> Destination:
    """Where the pictures go that are not made in place. Raises UsageError."""
    place = _place(recipe, settings)
    if settings.prune and not place.keeps_outputs:
        raise UsageError(
            "--prune removes what is left over in a folder of outputs, and this makes a single "
            "file: omit it, or give a folder (--output DIR)"
        )
    return place


def _place(recipe: Recipe, settings: Settings) -> Destination:
    output = settings.output
    if settings.subfolder is not None:
        return _subfolders(recipe, settings, settings.subfolder)
    if output is None:
        return _by_default(recipe, settings)
    if output == STREAM:
        return _standard_output(recipe, settings)
    check_is_no_journal("--output", output)
    if (row := format_of_file(output)) is not None:
        return _one_file(recipe, settings, output, row)
    if os.path.exists(output) and not os.path.isdir(output):
        raise UsageError(
            f"the output {output} is a file; --output names a folder, or a file that ends in the "
            "suffix of a picture"
        )
    return _folder(recipe, output)


def format_of_file(output: str) -> formats.Format | None:
    """The format of the one picture that an output names; None if it names a folder."""
    if output == STREAM or output.endswith(_SEPARATORS) or os.path.isdir(output):
        return None
    return formats.of_suffix(os.path.splitext(output)[1].lower())


def takes_one_file(settings: Settings) -> bool:
    """Whether a run is for a single picture, and not for a folder or several files."""
    named = (*settings.paths, *(settings.listed or ()))
    return settings.streamed is not None or (len(named) == 1 and not os.path.isdir(named[0]))


def check_is_no_journal(option: str, path: str) -> None:
    """Raise UsageError if a path is in a folder where imgbatch keeps its journal."""
    if is_own(path.split(os.sep)):
        raise UsageError(
            f"{option} {path} is in a folder where imgbatch keeps its journal: use another"
        )


def _folder(recipe: Recipe, folder: str) -> Destination:
    return Destination(recipe, folder, f" in {folder}")


# Subfolders


def _subfolders(recipe: Recipe, settings: Settings, name: str) -> Destination:
    if settings.output is not None or settings.flat:
        other = "--flat" if settings.output is None else "--output"
        raise UsageError(f"--subfolder puts pictures beside their originals: omit it, or {other}")
    if settings.streamed is not None:
        raise UsageError("--subfolder is beside an original, and standard input is none: omit one")
    _check_there(settings)
    subfolder = _subfolder_name(name)
    folder = _shared_home(settings)
    if folder is None or os.path.dirname(os.path.abspath(folder)) == os.path.abspath(folder):
        raise UsageError("--subfolder takes what is in one folder: run it once for each")
    place = f" in {subfolder} beside the originals"
    return Destination(recipe, _remembering(folder), place, True, subfolder)


def _shared_home(settings: Settings) -> str | None:
    """The deepest folder that has all sources, empty for the working folder; None without one."""
    named = (*settings.paths, *(settings.listed or ()))
    if len(named) == 1:
        return named[0] if os.path.isdir(named[0]) else os.path.dirname(named[0])
    return shared_folder(named)


def _remembering(folder: str) -> str:
    """The folder, or the highest above it whose journal has outputs of what is below it.

    A run over all of a shoot may have remade what one over a part of it had made.
    """
    below = os.path.abspath(folder)
    found = None
    for above in _and_above(folder):
        if not os.path.exists(os.path.join(above, SHARED_MARK)):
            continue
        try:
            recorded = Recorded.of(above)
            if recorded is not None and recorded.is_from_below(below):
                recorded.close()
                found = above
        except UnreadableError as error:
            if error.in_use and found is None:
                # The run that uses it is waited for.
                return above
    return folder if found is None else found


def _and_above(folder: str) -> Iterator[str]:
    """A folder and those above it, relative as long as that is how it was named."""
    yield folder
    if os.path.isabs(folder) or os.pardir in folder.split(os.sep):
        above = os.path.abspath(folder)
    else:
        above = os.path.normpath(folder or os.curdir)
        while above != os.curdir:
            above = os.path.dirname(above) or os.curdir
            yield "" if above == os.curdir else above
        above = os.path.abspath(above)
    while (parent := os.path.dirname(above)) != above:
        above = parent
        yield above


def _subfolder_name(name: str) -> str:
    """A name with "/" between its folders, if it has several. Raises UsageError."""
    drive, rest = os.path.splitdrive(name)
    if os.altsep is not None:
        rest = rest.replace(os.sep, os.altsep)
    parts = [part for part in rest.split("/") if part not in ("", os.curdir)]
    if drive or os.path.isabs(name) or os.pardir in parts or not parts:
        raise UsageError(
            f"found --subfolder {name}, expected the name of a folder beside each original, such "
            "as web: for another place use --output"
        )
    if is_own(parts):
        raise UsageError(f"--subfolder {name} is where imgbatch keeps its journal: use another")
    return "/".join(parts)


# One file


def _one_file(recipe: Recipe, settings: Settings, output: str, row: formats.Format) -> Destination:
    stem, suffix = os.path.splitext(output)
    folder = f"a folder, as in --output {stem}"
    if (found := _more_than_one_file(settings)) is not None:
        _check_there(settings)
        kept = f" --format {row.name}" if row.becomes is None else ""
        raise UsageError(
            f"--output {output} is the name of one file, but found {found}: give {folder}{kept} "
            f"(or {output}/ if the folder is to have that name)"
        )
    if len(recipe.outputs) > 1:
        names = ", ".join(one.name for one in recipe.outputs)
        raise UsageError(
            f"--output {output} is the name of one file, but {len(recipe.outputs)} are made of "
            f"each picture ({names}): give {folder}, or make one of them"
        )
    if settings.named:
        raise UsageError(
            f"--output {output} is the file's whole name: omit --name, or give {folder}"
        )
    if not formats.writes(row, suffix.lower()):
        other = formats.BY_NAME[row.becomes] if row.becomes is not None else row
        raise UsageError(
            f"--output {output} has a suffix that is only read, not written ({row.label}): use "
            f"another, such as {stem}{other.suffixes[0]}"
        )
    made = _in_format(recipe.outputs[0], output, row)
    name = os.path.basename(output).replace("{", "{{").replace("}", "}}")
    named = dataclasses.replace(made, template=Template(name))
    recipe, above = dataclasses.replace(recipe, outputs=(named,)), os.path.dirname(output)
    # The file may get another name.
    renames = settings.on_conflict == "rename"
    place = f" in {above or os.curdir}" if renames else f": {output}"
    return Destination(recipe, above, place, shares=True)


def _in_format(made: Output, output: str, row: formats.Format) -> Output:
    """An output in the format that its file's suffix tells. Raises UsageError."""
    asked = made.encoding.format
    if asked not in (None, row.name):
        suffix = formats.BY_NAME[asked].suffixes[0]
        raise UsageError(
            f"--output {output} is a {row.label} by its name, and the format is to be {asked}: "
            f"omit --format {asked}, or use --output {os.path.splitext(output)[0]}{suffix}"
        )
    if asked is not None:
        return made
    try:
        return dataclasses.replace(made, encoding=in_format(made.encoding, row))
    except UnsuitedError as error:
        raise UsageError(
            f"--output {output}: {error.problem}: omit {option(error.setting)}, or use another "
            "suffix"
        ) from None


def _standard_output(recipe: Recipe, settings: Settings) -> Destination:
    if (found := _more_than_one_file(settings)) is not None:
        _check_there(settings)
        raise UsageError(
            f"--output - writes one picture to standard output, but found {found}: give a folder"
        )
    if len(recipe.outputs) > 1:
        raise UsageError(
            "--output - writes one picture to standard output, but "
            f"{len(recipe.outputs)} are made of each: give a folder, or make one of them"
        )
    if settings.named:
        raise UsageError("--output - is standard output, which has no name: omit --name")
    return Destination(recipe, "", "", streams=True)


def _check_there(settings: Settings) -> None:
    """Raise UsageError for a PATH at which there is nothing."""
    for path in settings.paths:
        if not os.path.exists(path):
            raise missing(path, settings.paths)


def _more_than_one_file(settings: Settings) -> str | None:
    """What there is instead of a single source, in words."""
    if takes_one_file(settings):
        return None
    named = (*settings.paths, *(settings.listed or ()))
    if not named:
        raise NothingFoundError("no image found in the list, which is empty")
    if len(named) != 1:
        return f"{len(named)} PATHs" if settings.listed is None else f"a list of {len(named)}"
    return f"the folder {named[0]}"


# Without --output


def _by_default(recipe: Recipe, settings: Settings) -> Destination:
    """`<folder>-<recipe's name>` next to the one given folder, or beside the one given file."""
    if settings.streamed is not None:
        raise UsageError(
            "a picture on standard input has no place of its own: give --output FILE, or "
            "--output - for standard output"
        )
    if len(settings.paths) != 1 or settings.listed is not None:
        _check_there(settings)
        raise UsageError(
            "say where the pictures go: --output DIR (optional only for a single folder or file)"
        )
    (path,) = settings.paths
    if os.path.isdir(path):
        return _folder(recipe, _next_to(path, recipe))
    _check_there(settings)
    check_is_no_journal("PATH", path)
    if not settings.named:
        recipe = _told_apart(recipe)
    return Destination(recipe, os.path.dirname(path), f" beside {path}", shares=True)


def _told_apart(recipe: Recipe) -> Recipe:
    """The recipe with names that differ from that of the original beside them."""
    alone = len(recipe.outputs) == 1
    outputs = [
        dataclasses.replace(
            one, template=Template(f"{{stem}}-{recipe.name if alone else one.name}{{ext}}")
        )
        if one.template.text.replace("{dir}/", "") == PLAIN
        else one
        for one in recipe.outputs
    ]
    return dataclasses.replace(recipe, outputs=tuple(outputs))


def _next_to(folder: str, recipe: Recipe) -> str:
    name = os.path.basename(os.path.normpath(folder))
    if name in ("", os.curdir, os.pardir):
        folder = os.path.abspath(folder)
        name = os.path.basename(folder)
    if not name:
        raise UsageError(f"there is no place next to {folder}: use --output DIR")
    return os.path.join(os.path.dirname(os.path.normpath(folder)), f"{name}-{recipe.name}")
