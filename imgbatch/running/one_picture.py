"""One picture, from a program and back to it: no folder, no journal, no process.

It goes through the same pipeline as the files of a run. Any number of threads may do so at once.
"""

from __future__ import annotations

import errno
import os
import time
from itertools import chain
from typing import TYPE_CHECKING, Final, TypeAlias, Unpack

from msgspec import Struct

from imgbatch.errors import PictureError, PlanError
from imgbatch.imaging import decode, loaded
from imgbatch.imaging.encode import Encoded
from imgbatch.imaging.opening import InMemory, Input
from imgbatch.imaging.picture import Picture
from imgbatch.model import Job, Notice, Run, Source, Target
from imgbatch.planning import numbering
from imgbatch.planning.output_paths import Conflict, Targets, settled
from imgbatch.recipes.recipe import Recipe
from imgbatch.running import pipeline, worker
from imgbatch.running.logs import log_notices
from imgbatch.running.settings import PictureWords, Settings, picture_settings
from imgbatch.store import local_files

if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from numpy.typing import NDArray
    from PIL import Image

    Bytes: TypeAlias = bytes | bytearray | memoryview
    Given: TypeAlias = str | os.PathLike[str] | Bytes | BinaryIO | Image.Image | NDArray[Any]

NAMELESS: Final = "picture"
"""The stem of what has no name: bytes, pixels, and files that are not called anything."""


class Made(Struct, frozen=True):
    """A finished picture in memory.

    `name` is that of the file that a run would write, with its folders if the template has any;
    `output` is the name of the output, `data` the whole file, `format` its format. `width` and
    `height` are in pixels. `notices` are warnings: what could not be kept. `copied` says that it is
    the source's very bytes, because nothing had to be done.
    """

    name: str
    output: str
    data: bytes
    format: str
    width: int
    height: int
    notices: tuple[Notice, ...] = ()
    copied: bool = False

    def image(self) -> Image.Image:
        """The picture as a Pillow image, loaded. Raises PictureError."""
        return loaded.image_of(self.data, self.name)


def apply(recipe: Recipe, source: Given, **words: Unpack[PictureWords]) -> list[Made]:
    """Make each output of a recipe from one picture; see `imgbatch.Recipe.apply`."""
    return made_of(recipe, loaded.of(source), picture_settings("apply", words))


def made_of(recipe: Recipe, given: Input, settings: Settings) -> list[Made]:
    """The finished pictures, in the recipe's order. Raises PictureError, and PlanError if two of
    them would have one name."""
    run = _run(settings)
    try:
        job = _job(recipe, given, settings)
        finished = pipeline.make(job, 1.0, recipe, run, given)
        told = worker.notices_of(finished, job)
        notices = worker.unique(chain(*told))
        worker.refuse(notices, strict=run.strict)
    except (PictureError, PlanError):
        raise
    except Exception as error:
        raise _as_picture_error(error) from error
    log_notices(job.source.path, notices)
    return [
        _made(target, one, own)
        for target, one, own in zip(job.targets, finished.files, told, strict=True)
    ]


def developed(recipe: Recipe, given: Input, settings: Settings) -> Picture:
    """The pixels of a recipe's only output, before they become a file. Raises PictureError."""
    try:
        job = _job(recipe, given, settings)
        picture = pipeline.develop(job, recipe, _run(settings), given)
        notices = worker.unique(picture.notices)
        worker.refuse(notices, strict=settings.strict)
    except (PictureError, PlanError):
        raise
    except Exception as error:
        raise _as_picture_error(error) from error
    log_notices(job.source.path, notices)
    return picture


def write(path: str, data: bytes) -> None:
    """Write a file as a whole, replacing the one that is there. Raises PictureError.

    A link stays one: what it leads to is replaced.
    """
    place = os.path.realpath(path)
    folder = os.path.dirname(place)
    try:
        if not os.path.isdir(folder):
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {folder}")
        there = os.path.lexists(place)
        if there and not os.path.isfile(place):
            raise OSError(errno.EEXIST, "this is something else than a file")
        staged = local_files.stage(
            place, data, local_files.new_run(), like=place if there else None
        )
        staged.publish(replace=True)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise PictureError("write", "unwritable", f"cannot write {path}: {why}") from error


def _as_picture_error(error: Exception) -> PictureError:
    failure = worker.failure_of(error)
    return PictureError(failure.stage, failure.kind, failure.message)


def _run(settings: Settings) -> Run:
    limits = settings.limits_here
    return Run("", "", limits, salvage=settings.salvage, strict=settings.strict)


def _made(target: Target, one: Encoded, notices: tuple[Notice, ...]) -> Made:
    name = settled(target, one.format).relative
    return Made(name, target.output, one.data, one.format.name, *one.size, notices, one.copied)


def _job(recipe: Recipe, given: Input, settings: Settings) -> Job:
    """What a run would do with a file of this name, if it were the only one."""
    job = Job(_source(given), (), 1)
    targets = Targets(recipe, "", flat=True)
    facts = None
    if targets.need_header:
        try:
            header = decode.read_header(given, settings.limits_here.max_pixels)
            facts = numbering.told(job, header)
        except PictureError:
            # Making it will say so.
            facts = numbering.unread(job)
    names = targets.of(job.source, 1, facts)
    if isinstance(names, Conflict):
        raise PlanError(f"{names.message}. {names.remedy}")
    dated = facts.dated if facts and recipe.uses("date") else None
    return Job(
        job.source,
        tuple(
            Target(output.name, "", name, any_suffix=output.encoding.format is None)
            for output, name in zip(recipe.outputs, names, strict=True)
        ),
        1,
        dated,
    )


def _source(given: Input) -> Source:
    """What is known of a file; what is in memory has changed just now."""
    if not isinstance(given, str):
        size = len(given.data) if isinstance(given, InMemory) else 0
        return Source("", given.name or NAMELESS, size, time.time_ns())
    folder, name = os.path.split(given)
    try:
        state = local_files.state_of(os.stat(given))
    except (OSError, ValueError):
        # Opening it will say so.
        return Source(folder, name, 0, 0)
    return Source(folder, name, state.size, state.mtime_ns)
