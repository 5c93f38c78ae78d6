"""What an operation is, and the registry of those with a name."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

from imgbatch.errors import PictureError, raise_if_short_of_memory
from imgbatch.imaging.picture import Picture, in_colours, stored_bytes
from imgbatch.model import Size
from imgbatch.operations.parameters import Parameter

_CONVERTED: Final = 8
"""Bytes per pixel for a copy that is converted first."""
_GREY: Final = 2 / 3
"""The fraction of the bytes for RGB that grey takes."""
_PLAIN: Final = frozenset({"L", "LA", "RGB"})


def parameters_of(kind: type[Operation]) -> dict[str, Parameter]:
    """The declared parameters of an operation, in order."""
    return {
        field.name: field.metadata["parameter"]
        for field in dataclasses.fields(kind)
        if "parameter" in field.metadata
    }


@dataclass(frozen=True, slots=True)
class Operation(ABC):
    """A change to a picture: a frozen dataclass with validated fields. It knows no paths.

    Operations that check their fields further do so in `__post_init__`, and call `check_fields`
    first. Raises UsageError for invalid field values.
    """

    name: ClassVar[str]
    turns: ClassVar[bool] = False
    """Whether it accepts a picture that is not upright yet, and turns it itself."""
    pixelwise: ClassVar[bool] = False
    """Whether each pixel changes independently, so that the operation may as well be applied to a
    picture that a decoder shrank."""
    sizes_known: ClassVar[bool] = True
    """Whether `output_size` gives the size of the result whatever the picture shows."""
    example: ClassVar[str] = ""
    """The arguments for its picture in the documentation; empty for its name alone."""
    memory: ClassVar[float] = 12.5
    """Bytes per pixel that it takes besides the given picture, at most, the result included: for
    8-bit RGB. Grey takes two thirds of that, and whatever is converted first 8 more."""
    keeps_grey: ClassVar[bool] = False
    """Whether grey pictures always stay grey."""
    any_mode: ClassVar[bool] = False
    """Whether it accepts pixels of any mode directly: `memory` is then proportional to them."""

    def __post_init__(self) -> None:
        self.check_fields()

    def check_fields(self) -> None:
        """Check every declared field, and convert it to the type that operations work with."""
        for key, declared in parameters_of(type(self)).items():
            value = declared.check(f"{self.name}: {key}", getattr(self, key))
            object.__setattr__(self, key, value)

    @property
    def name_fields(self) -> frozenset[str]:
        """The fields of names (`naming.FIELDS`) that it writes into the picture."""
        return frozenset()

    @abstractmethod
    def apply(self, picture: Picture) -> Picture:
        """The changed picture; the given one stays unchanged. Raises PictureError."""

    def settled(self, picture: Picture) -> Operation:
        """The operation to apply to all frames of an animation that begins with `picture`.

        One that depends on the picture must not do something else in each frame: that would
        flicker.
        """
        return self

    def output_size(self, size: Size) -> Size:
        """The upright size of the result for a picture of `size`."""
        return size

    def moves_pixels(self, size: Size) -> bool:
        """Whether things in a picture of `size` end up at other fractions of its sides.

        By default they do if the size changes.
        """
        return not self.sizes_known or self.output_size(size) != size

    def output_mode(self, mode: str) -> str:
        """The mode after it of a picture with `mode` before, or one that takes more memory."""
        return mode if self.keeps_grey else in_colours(mode)

    def working_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """The memory it takes to make a picture of `after` from one of `before` pixels."""
        made, each = self.output_mode(mode), self.memory
        if self.any_mode:
            each *= stored_bytes(made) / 4
        elif mode == made == "L":
            each *= _GREY
        converted = not self.any_mode and mode not in _PLAIN
        if converted or (made != mode and stored_bytes(made) >= stored_bytes(mode)):
            each += _CONVERTED
        return int(max(before[0] * before[1], after[0] * after[1]) * each)

    def kept_bytes(self, before: Size, after: Size, *, mode: str) -> int:
        """How many more bytes it takes that stay taken afterwards: buffers of a library."""
        return 0

    def needed_size(self, size: Size, wanted: Size) -> Size:
        """The least size it can start from, for a picture whose file has `size`, if later
        operations need `wanted` pixels of its result.
        """
        return wanted if self.pixelwise else size


@contextmanager
def blamed(operation: Operation) -> Iterator[None]:
    """Turn what an operation raises inside into a PictureError that names it.

    A PictureError is passed on unchanged, and so is a lack of memory.
    """
    try:
        yield
    except PictureError:
        raise
    except Exception as error:
        raise_if_short_of_memory(error)
        name = operation.name
        raise PictureError("operate", name, f"{name}: {type(error).__name__}: {error}") from error


_registry: dict[str, type[Operation]] = {}

AnyOperation = TypeVar("AnyOperation", bound=type[Operation])


def register(kind: AnyOperation) -> AnyOperation:
    """Make an operation known under its name, to `--filter`, recipes and the documentation."""
    if kind.name != kind.name.strip().lower():
        raise ValueError(f"the name of an operation must be in lower case: {kind.name}")
    if kind.name in _registry:
        raise ValueError(f"two operations are called {kind.name}")
    _registry[kind.name] = kind
    return kind


def registered() -> dict[str, type[Operation]]:
    """Those registered so far; `imgbatch.operations.names` imports them all first."""
    return _registry
