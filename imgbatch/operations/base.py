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
"""Bytes per pixel of what is converted before it is changed."""
_GREY: Final = 2 / 3
"""What grey takes of the bytes that RGB does."""
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

    One that checks its fields further does so in `__post_init__`, and calls `check_fields`
    first. Raises UsageError for what its fields cannot hold.
    """

    name: ClassVar[str]
    turns: ClassVar[bool] = False
    """Whether it takes a picture that is not upright yet, and turns it itself."""
    pixelwise: ClassVar[bool] = False
    """Whether each pixel becomes another by itself, so that it may as well be done to a picture
    that a decoder shrank."""
    sizes_known: ClassVar[bool] = True
    """Whether `output_size` tells the size after it, whatever the picture shows."""
    example: ClassVar[str] = ""
    """The words of its picture in the documentation; empty for its name alone."""
    memory: ClassVar[float] = 12.5
    """Bytes per pixel that it takes beside the picture given, at most, the result included: of
    RGB of 8 bits. Grey takes two thirds of that, whatever is converted first 8 more."""
    keeps_grey: ClassVar[bool] = False
    """Whether grey pictures always stay grey."""
    any_mode: ClassVar[bool] = False
    """Whether it takes pixels of any mode as they are: then `memory` is in proportion to them."""

    def __post_init__(self) -> None:
        self.check_fields()

    def check_fields(self) -> None:
        """Check every declared field, and give it the type that operations work with."""
        for key, declared in parameters_of(type(self)).items():
            value = declared.check(f"{self.name}: {key}", getattr(self, key))
            object.__setattr__(self, key, value)

    @property
    def name_fields(self) -> frozenset[str]:
        """The fields of names (`naming.FIELDS`) that it writes into the picture."""
        return frozenset()

    @abstractmethod
    def apply(self, picture: Picture) -> Picture:
        """The changed picture; the given one stays as it is. Raises PictureError."""

    def settled(self, picture: Picture) -> Operation:
        """What to do to all frames of an animation that begins with `picture`.

        One that goes by what it sees must not go another way in each frame: that would flicker.
        """
        return self

    def output_size(self, size: Size) -> Size:
        """The upright size after it, of a picture with `size` before."""
        return size

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
        """How many more bytes are taken by it and stay taken after it: buffers of a library."""
        return 0

    def needed_size(self, size: Size, wanted: Size) -> Size:
        """The least size it can start from, of a picture whose file has `size`, if what comes
        after it needs `wanted` pixels of its result.
        """
        return wanted if self.pixelwise else size


@contextmanager
def blamed(operation: Operation) -> Iterator[None]:
    """Make what an operation raises inside a PictureError that names it.

    A PictureError stays as it is, and so does a want of memory.
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
        raise ValueError(f"the name of an operation is in lower case: {kind.name}")
    if kind.name in _registry:
        raise ValueError(f"there are two operations called {kind.name}")
    _registry[kind.name] = kind
    return kind


def registered() -> dict[str, type[Operation]]:
    """Those registered so far; `imgbatch.operations.names` imports them all first."""
    return _registry
