"""What an operation is, and how its parameters are declared."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

from imgbatch.errors import UsageError
from imgbatch.imaging.formats import PerPixel
from imgbatch.imaging.picture import Picture
from imgbatch.model import Size

Value = float | int | bool | str
Curve = Sequence[int]
"""256 levels, one for each level before."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A setting of an operation: its default, its range, and what it means.

    The kind of the default (float, int, bool, or str with `choices`) is the kind of all values.
    """

    default: Value
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    choices: tuple[str, ...] = ()
    help: str = ""

    @property
    def expected(self) -> str:
        """What values are allowed, in words."""
        if isinstance(self.default, bool):
            return "yes or no"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        span = "" if math.isinf(self.low) else f" from {self.low:g} to {self.high:g}"
        return f"{kind}{span}{f' {self.unit}' if self.unit else ''}"

    def parse(self, where: str, word: str) -> Value:
        """A value from a word; raises UsageError naming `where` it stands."""
        try:
            if isinstance(self.default, bool):
                return _TRUTH[word.lower()]
            if isinstance(self.default, int):
                return int(word)
            return word if isinstance(self.default, str) else float(word)
        except (ValueError, KeyError):
            raise UsageError(f"{where}: found {word!r}, expected {self.expected}") from None

    def check(self, where: str, value: Any) -> Value:
        """The value in the default's kind; raises UsageError naming `where` if not allowed."""
        if isinstance(self.default, float) and type(value) is int:
            value = float(value)
        fits = type(value) is type(self.default) and (
            value in self.choices
            if isinstance(value, str)
            else math.isfinite(value) and self.low <= value <= self.high
        )
        if not fits:
            raise UsageError(f"{where}: found {value!r}, expected {self.expected}")
        allowed: Value = value
        return allowed


_TRUTH: Final = {
    **dict.fromkeys(("yes", "true", "on", "1"), True),
    **dict.fromkeys(("no", "false", "off", "0"), False),
}


def parameter(
    default: Value,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    unit: str = "",
    choices: tuple[str, ...] = (),
    help: str,  # noqa: A002
) -> Any:
    """Declare a field of an operation. The field's own annotation must be the default's kind."""
    declared = Parameter(default, low, high, unit, choices, help)
    return dataclasses.field(default=default, metadata={"parameter": declared})


def parameters_of(kind: type[Operation]) -> dict[str, Parameter]:
    """The declared parameters of an operation, in order."""
    return {
        field.name: field.metadata["parameter"]
        for field in dataclasses.fields(kind)
        if "parameter" in field.metadata
    }


@dataclass(frozen=True, slots=True)
class Operation(ABC):
    """A change to a picture: a frozen dataclass with validated fields. It knows no paths."""

    name: ClassVar[str]
    turns: ClassVar[bool] = False
    """Whether it takes a picture that is not upright yet, and turns it itself."""
    memory: ClassVar[PerPixel] = PerPixel(12, 16)
    """Bytes per pixel that it takes beside the picture given, at most, the result included."""

    def __post_init__(self) -> None:
        for key, declared in parameters_of(type(self)).items():
            value = declared.check(f"{self.name}: {key}", getattr(self, key))
            # 1 and 1.0 are the same setting, so they are the same object and digest.
            object.__setattr__(self, key, value)

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

    def working_bytes(self, before: Size, after: Size, *, plain: bool) -> int:
        """The memory it takes to make a picture of `after` from one of `before` pixels."""
        return max(self.memory.of(size, plain=plain) for size in (before, after))

    def needed_size(self, size: Size) -> Size:
        """The least size it can start from without loss, of a picture whose file has `size`."""
        return size


_registry: dict[str, type[Operation]] = {}

AnyOperation = TypeVar("AnyOperation", bound=type[Operation])


def register(kind: AnyOperation) -> AnyOperation:
    """Make an operation known under its name, to `--filter`, recipes and the documentation."""
    if kind.name in _registry:
        raise ValueError(f"there are two operations called {kind.name}")
    _registry[kind.name] = kind
    return kind


def registered() -> dict[str, type[Operation]]:
    """Those registered so far; `imgbatch.operations.names` imports them all first."""
    return _registry
