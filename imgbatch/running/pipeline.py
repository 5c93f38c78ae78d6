"""From one source to its finished files in memory: decode once, operate, encode for each output.

It knows pictures, but neither targets nor processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field
from msgspec.structs import replace

from imgbatch.errors import PictureError
from imgbatch.imaging import decode, encode, formats, resample
from imgbatch.imaging.decode import Demand
from imgbatch.imaging.encode import Encoded
from imgbatch.imaging.opening import InMemory, Input, Rules
from imgbatch.imaging.picture import Metadata, Picture, Series, stored_bytes
from imgbatch.model import Dated, Encoding, Job, Limits, Origin, Run, Source
from imgbatch.naming import parent_of
from imgbatch.operations import Operation
from imgbatch.operations.base import blamed
from imgbatch.operations.geometry import Resize
from imgbatch.operations.point import joined
from imgbatch.recipes.recipe import Output, Recipe
from imgbatch.store import regular

if TYPE_CHECKING:
    from imgbatch.imaging.affine import Geometry

# A worker process itself: the interpreter, Pillow and what they keep around.
_PROCESS_BYTES: Final = 60_000_000


class ShareExceededError(Exception):
    """The picture fits into the run's memory, but not into this worker's share."""


class Original(Struct, frozen=True):
    """What pictures are made of, and where its bytes are: `given` is the source's path, or memory.

    What is known of the source is known of a file with its name.
    """

    source: Source
    given: Input

    def unchanged(self) -> bytes | None:
        """Its bytes; None if it is no file, or not the one that was scanned."""
        if not isinstance(self.given, str):
            return self.given.data if isinstance(self.given, InMemory) else None
        with regular.opened(self.given) as file:
            data = file.read()
            state = os.fstat(file.fileno())
        scanned = (self.source.size, self.source.mtime_ns)
        return data if (state.st_size, state.st_mtime_ns) == scanned else None


class Finished(Struct, frozen=True):
    """The finished files of one source, in the order of its targets, and its checksum.

    `dated` says where the date came from, if that is written on it.
    """

    files: list[Encoded]
    source_hash: int | None
    dated: Dated | None = None


def make(job: Job, share: float, recipe: Recipe, run: Run, given: Input | None = None) -> Finished:
    """Decode a job's source once, and make the file of each of its outputs in memory.

    `share` is the part of the run's memory that it may take, 0 to 1; `given` is what is read in
    place of the source's path. Raises PictureError, and ShareExceededError before any pixel is
    decoded.
    """
    original = Original(job.source, given or job.source.file)
    making, dated, source_hash = _worked_on(job, share, recipe, run, original)
    return Finished([one.finish(original) for one in making if one.wanted], source_hash, dated)


def develop(job: Job, recipe: Recipe, run: Run, given: Input) -> Picture:
    """The picture of a job's only output, upright, before it is encoded; of several the first.

    Raises PictureError.
    """
    original = Original(job.source, given)
    making, _, _ = _worked_on(job, 1.0, recipe, run, original, encodes=False)
    return making[0].frames[0]


def _worked_on(
    job: Job, share: float, recipe: Recipe, run: Run, original: Original, *, encodes: bool = True
) -> tuple[list[_Making], Dated | None, int | None]:
    """All outputs in the making; where the date came from, if one is written on them; and the
    checksum of the file."""
    steps = recipe.steps
    origin = _origin(job) if _asks_for_names(steps) else None
    making = _begun(job, recipe, origin)
    wanted = [one for one in making if one.wanted]
    rules = Rules(
        run.limits.max_pixels,
        run.salvage,
        partial(_wants_every_frame, [one.output for one in wanted]) if encodes else None,
        recipe.raw_preview,
        tuple({one.output.encoding.metadata for one in wanted}),
        origin is not None and _writes_dates(steps),
    )
    hashes: list[int] = []
    with closing(
        decode.pictures(
            original.given,
            recipe.needed_size,
            rules,
            admit=partial(_admit, recipe=recipe, limits=run.limits, share=share),
            on_read=hashes.append,
        )
    ) as frames:
        finishing = original if encodes else None
        first = _work_on(frames, finishing, recipe, making, origin)
    dated = _dated(first) if rules.dates else None
    return making, dated, hashes[-1] if hashes else None


def _admit(demand: Demand, recipe: Recipe, limits: Limits, share: float) -> None:
    """Called between the header and the pixels."""
    if limits.memory is None:
        return
    decoded = stored_bytes(demand.mode) * demand.decoded_size[0] * demand.decoded_size[1]
    if demand.frames > 1:
        # The next one is decoded while those before it wait.
        decoded = demand.bytes
    working = decoded + recipe.working_bytes(
        demand.full_size,
        demand.decoded_size,
        demand.format,
        mode=demand.mode,
        frames=demand.frames,
    )
    need = _PROCESS_BYTES + demand.beside + max(demand.bytes, working)
    if need > limits.memory:
        raise PictureError(
            "open",
            "memory",
            f"it needs about {need / 1e6:.0f} MB of memory, and {limits.memory / 1e6:.0f} MB "
            "are allowed (see --memory)",
        )
    if need > limits.memory * share:
        raise ShareExceededError


def _begun(job: Job, recipe: Recipe, origin: Origin | None) -> list[_Making]:
    """Every output of the recipe, still empty."""
    # Some outputs may be up to date: then the job has no target for them.
    names = {target.output for target in job.targets}
    return [
        _Making(
            output,
            replace(origin, output=output.name) if origin else None,
            wanted=output.name in names,
        )
        for output in recipe.outputs
    ]


def _work_on(
    frames: Iterable[Picture],
    original: Original | None,
    recipe: Recipe,
    making: Sequence[_Making],
    origin: Origin | None,
) -> Metadata:
    """Take each frame through the recipe's preparation, and then through each output.

    A single one is then encoded, unless there is no `original`. Returns what the file says about
    the picture, which is what its first frame says.
    """
    prepare: Sequence[Operation] = joined(recipe.prepare)
    metadata: Metadata | None = None
    for frame in frames:
        begins = metadata is None
        if metadata is None:
            metadata = frame.metadata
        if origin:
            frame = replace(frame, origin=origin)
        if begins and frame.series is not None and frame.series.kind == "animation":
            prepare = _steadied(frame, prepare, making)
        prepared = _operate(frame, prepare)
        bases: dict[int, Picture] = {}
        for start in recipe.starts(prepared.full_size):
            one = making[start.output]
            begun = prepared if start.base is None else bases.get(start.base, prepared)
            resized = one.add(frame, begun, serves=start.serves)
            if resized is not None:
                bases[start.output] = resized
            if one.wanted and frame.series is None and original is not None:
                # Its pixels need not wait for the other outputs.
                one.finish(original)
    return metadata or Metadata()


class _Making(Struct):
    """An output in the making: its frames, and then its file.

    One that is not `wanted` is up to date, and at most a starting point for others: their pixels
    do not depend on which outputs are made.
    """

    output: Output
    origin: Origin | None
    wanted: bool
    steps: tuple[Operation, ...] = ()
    frames: list[Picture] = field(default_factory=list)
    unchanged: bool = True
    only_turned: bool = True
    encoded: Encoded | None = None

    def __post_init__(self) -> None:
        self.steps = joined(self.output.operations)

    def add(self, frame: Picture, begun: Picture, *, serves: bool) -> Picture | None:
        """Work on a frame, if the output's format has a place for it.

        If it `serves` others, return the frame after its first step, a resize, if that is suitable.
        """
        wanted = self.wanted
        if self.frames and not encode.holds_series(frame, self.output.encoding):
            wanted = False
        named = replace(begun, origin=self.origin) if self.origin else begun
        first = _operate(named, self.steps[:1]) if wanted or serves else named
        if wanted:
            done = _operate(first, self.steps[1:])
            self.frames.append(done.upright())
            self.only_turned &= begun is frame and done is named
            self.unchanged &= self.only_turned and done is self.frames[-1]
        if not serves or first is named:
            return begun if serves else None
        if first.deep is not None or first.mode == "I;16" or resample.is_clipped(first.image):
            return None
        # To the others it looks like one from a decoder that shrinks: sized by the file.
        return replace(begun, pixels=first.pixels, area=(0, 0, *first.size), orientation=1)

    def finish(self, original: Original) -> Encoded:
        """The file; the frames are dropped."""
        if self.encoded is None:
            encoding = self.output.encoding
            own = _own_file(original, self.frames, encoding) if self.unchanged else None
            if own and self._needs_nothing():
                self.encoded = own
            else:
                recoded = _recoded(original, self.frames, encoding) if self.only_turned else None
                self.encoded = recoded or self._encoded(own)
            self.frames.clear()
        return self.encoded

    def _needs_nothing(self) -> bool:
        return all(encode.may_copy(frame, self.output.encoding) for frame in self.frames)

    def _encoded(self, own: Encoded | None) -> Encoded:
        """The frames as a file, or the source's own if that is smaller."""
        first, *following = self.frames
        try:
            made = encode.encode(first, self.output.encoding, following=following)
        except PictureError as error:
            if own is None or error.failure.kind != "too-large":
                raise
            # A result that is too large is also larger than the source, which is not.
            return own
        return own if own is not None and len(own.data) < len(made.data) else made


def _asks_for_names(steps: Iterable[Operation]) -> bool:
    """Whether an operation may ask what a picture is called; a resize does not."""
    return any(not isinstance(step, Resize) for step in steps)


def _writes_dates(steps: Iterable[Operation]) -> bool:
    """Whether an operation writes on a picture when it was taken."""
    return any("date" in step.name_fields for step in steps)


def _dated(metadata: Metadata) -> Dated:
    from imgbatch.imaging.metadata import dates

    return dates.of(metadata).dated


def _origin(job: Job) -> Origin:
    folder, _, name = job.source.mirrored.rpartition("/")
    stem, ext = os.path.splitext(name)
    return Origin(stem, ext, folder, job.seq, job.source.mtime_ns, parent=parent_of(job.source))


def _wants_every_frame(outputs: Iterable[Output], format: str, series: Series) -> bool:  # noqa: A002
    return any(
        formats.BY_NAME[output.encoding.format or format].series == series.kind
        for output in outputs
    )


def _own_file(original: Original, frames: Sequence[Picture], encoding: Encoding) -> Encoded | None:
    """The source's own bytes, if no operation changed anything and they may serve as the result.

    They may if nothing is asked for that they do not have (or, where the smaller file is to be
    kept, nothing but another coding) and if they are not too many. The source was decoded all the
    same, so that broken files fail.
    """
    first = frames[0]
    suits = encode.may_stay if encoding.keep_smaller else encode.may_copy
    if not all(suits(frame, encoding) for frame in frames):
        return None
    if encoding.max_bytes is not None and original.source.size > encoding.max_bytes:
        return None
    data = original.unchanged()
    if data is None:
        return None
    return Encoded(data, formats.BY_NAME[first.format], first.size, (), copied=True)


def _recoded(original: Original, frames: Sequence[Picture], encoding: Encoding) -> Encoded | None:
    """The source's file in another format without another coding of its pixels, if that can be."""
    if len(frames) > 1 or not encode.may_recode(frames[0], encoding):
        return None
    data = original.unchanged()
    return encode.recoded(frames[0], data, encoding) if data is not None else None


def _operate(picture: Picture, operations: Iterable[Operation]) -> Picture:
    for operation in operations:
        with blamed(operation):
            given = picture if operation.turns else picture.upright()
            picture = operation.apply(given)
            if given.geometry is not None and picture is not given:
                picture = replace(
                    picture, geometry=_moved(given, given.geometry, operation, picture)
                )
    return picture


def _moved(given: Picture, before: Geometry, operation: Operation, made: Picture) -> Geometry:
    """The geometry of what an operation made of a picture."""
    move = operation.move(given)
    after = before if move is None else before.then(move)
    return after if after.size == made.full_size else before.lost(made.full_size)


def _steadied(
    first: Picture, prepare: Sequence[Operation], making: Iterable[_Making]
) -> Sequence[Operation]:
    """Settle the operations that are to do the same to each frame of an animation."""

    def settled(
        picture: Picture, operations: Iterable[Operation]
    ) -> tuple[Picture, tuple[Operation, ...]]:
        done = []
        for operation in operations:
            upright = picture if operation.turns else picture.upright()
            with blamed(operation):
                done.append(operation.settled(upright))
            picture = _operate(upright, done[-1:])
        return picture, tuple(done)

    prepared, shared = settled(first, prepare)
    for one in making:
        one.steps = settled(prepared, one.steps)[1]
    return shared
