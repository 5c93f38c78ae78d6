"""Operations on each pixel's own value, and how several of them become one look-up.

None of them changes alpha.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from imgbatch.imaging.picture import Picture
from imgbatch.operations.base import Operation, blamed

if TYPE_CHECKING:
    from PIL import Image

    from imgbatch.imaging.colour.transfer import Level


@dataclass(frozen=True, slots=True)
class ToneOperation(Operation):
    """Base of operations that change 8-bit L or RGB pixels."""

    pixelwise: ClassVar[bool] = True
    memory: ClassVar[float] = 4.5
    keeps_grey: ClassVar[bool] = True

    def apply(self, picture: Picture) -> Picture:
        """Change the colours, keep the alpha."""
        from imgbatch.imaging import colour

        picture = colour.to_tonal(picture)
        if not picture.has_alpha:
            return picture.with_pixels(self.change(picture.image))
        image = picture.image
        changed = self.change(image.convert("L" if image.mode == "LA" else "RGB"))
        changed.putalpha(image.getchannel("A"))
        return picture.with_pixels(changed)

    @abstractmethod
    def change(self, image: Image.Image) -> Image.Image:
        """The changed image, L or RGB like the given one."""


@dataclass(frozen=True, slots=True)
class PointOperation(Operation):
    """Base of operations that are one curve for each channel: they take a single look-up.

    Neighbours of this kind in a recipe are joined (`joined`) and rounded only once.
    """

    pixelwise: ClassVar[bool] = True
    measures: ClassVar[bool] = False
    """Whether its curves depend on what the picture shows: then `settled` gives an operation that
    has them, for this picture and the following frames of an animation."""
    memory: ClassVar[float] = 4.5
    keeps_grey: ClassVar[bool] = True

    def apply(self, picture: Picture) -> Picture:
        return _looked_up(picture, (self,))

    @property
    def measuring(self) -> bool:
        """Whether it `measures` with its current settings."""
        return self.measures

    def settled(self, picture: Picture) -> PointOperation:
        """The operation with known curves."""
        return self

    def curves(self, icc: bytes | None, channels: int) -> Sequence[Level]:
        """For each of the channels (1 or 3), or one for all: from levels 0..1 to levels.

        `icc` is the profile that defines the levels. Values outside 0..1 are clipped.
        Operations with only one curve implement `level` instead.
        """
        return (self.level,)

    def level(self, value: float) -> float:
        """The new value of a level from 0..1, the same in each channel."""
        raise TypeError(f"{type(self).__name__} has neither `level` nor `curves`")


@dataclass(frozen=True, slots=True)
class LightOperation(PointOperation):
    """Base of operations on light, not on levels, such as a camera's exposure."""

    def curves(self, icc: bytes | None, channels: int) -> Sequence[Level]:
        """Through the profile's own curves, or sRGB's without one."""
        from imgbatch.imaging.colour.transfer import transfers

        found = transfers(icc)
        each = found * channels if len(found) == 1 else found

        def curve(channel: int) -> Level:
            to_light, from_light = each[channel]
            return lambda value: from_light(self.light(to_light(value), channel))

        return tuple(curve(channel) for channel in range(channels))

    @abstractmethod
    def light(self, light: float, channel: int) -> float:
        """The new value of light from 0..1 in one of the channels."""


@dataclass(frozen=True, slots=True)
class Joined(Operation):
    """Several point operations in one look-up."""

    name: ClassVar[str] = "tone"
    pixelwise: ClassVar[bool] = True
    memory: ClassVar[float] = PointOperation.memory
    keeps_grey: ClassVar[bool] = True

    operations: tuple[PointOperation, ...]

    def apply(self, picture: Picture) -> Picture:
        """One look-up of the curves one after the other."""
        return _looked_up(picture, self.operations)

    def settled(self, picture: Picture) -> Operation:
        """Only the first can depend on the picture (see `joined`)."""
        first, *rest = self.operations
        with blamed(first):
            return Joined((first.settled(picture), *rest))


def joined(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """The same operations, with neighbouring point operations joined into one.

    One that depends on the picture must see the result of those before it, so it starts a new
    group.
    """
    found: list[Operation] = []
    for operation in operations:
        before = found[-1] if found else None
        if isinstance(operation, PointOperation) and not operation.measuring:
            if isinstance(before, PointOperation):
                found[-1] = Joined((before, operation))
                continue
            if isinstance(before, Joined):
                found[-1] = Joined((*before.operations, operation))
                continue
        found.append(operation)
    return tuple(found)


def _looked_up(picture: Picture, operations: tuple[PointOperation, ...]) -> Picture:
    from imgbatch.imaging import colour

    picture = colour.to_tonal(picture)
    with blamed(operations[0]):
        first = operations[0].settled(picture)
    channels = 1 if picture.mode in ("L", "LA") else 3
    levels = _table((first, *operations[1:]), picture.icc, channels)
    if levels == _unchanged(channels):
        return picture
    table = levels + tuple(range(256)) if picture.has_alpha else levels
    return picture.with_pixels(picture.image.point(list(table)))


@lru_cache(maxsize=64)
def _table(
    operations: tuple[PointOperation, ...], icc: bytes | None, channels: int
) -> tuple[int, ...]:
    """256 levels for each channel, concatenated, rounded once."""
    found: list[int] = []
    for channel in range(channels):
        values = [level / 255 for level in range(256)]
        for operation in operations:
            with blamed(operation):
                curves = operation.curves(icc, channels)
                curve = curves[channel if len(curves) > 1 else 0]
                values = [_clipped(curve(value)) for value in values]
        found += [round(255 * value) for value in values]
    return tuple(found)


def _clipped(level: float) -> float:
    if math.isnan(level):
        # min and max would pass it on, and it would become black.
        raise ValueError("a level became NaN")
    return min(1.0, max(0.0, level))


def _unchanged(channels: int) -> tuple[int, ...]:
    return tuple(range(256)) * channels
