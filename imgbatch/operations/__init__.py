"""Operations: what can be done to a picture, and the registry of those with a name.

To add one, write a class in a module of this package:

    @register
    @dataclass(frozen=True, slots=True)
    class Invert(PointOperation):
        \"\"\"Turn light into dark: a negative.\"\"\"

        name: ClassVar[str] = "invert"
        amount: float = parameter(1.0, low=0, high=1, help="how much of it")

        def curve(self) -> Curve: ...

Its fields are declared once, and give parsing (`--filter invert:amount=0.5`), validation, help
(`imgbatch operations`) and documentation. Every module here is imported to find them, so NumPy
and the heavier parts of Pillow are imported inside the functions that use them: a run without
such an operation never pays for them.
"""

from __future__ import annotations

import difflib
import pkgutil
from functools import cache
from importlib import import_module
from types import MappingProxyType

from imgbatch.errors import UsageError
from imgbatch.operations.base import Operation, Parameter, parameters_of, registered


@cache
def names() -> MappingProxyType[str, type[Operation]]:
    """All registered operations by name, sorted."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return MappingProxyType(dict(sorted(registered().items())))


def parse(words: str) -> Operation:
    """An operation from the words users type: `NAME` or `NAME:key=value,key=value`.

    Raises UsageError that says what was found, what was expected, and the nearest name.
    """
    name, _, arguments = words.partition(":")
    known = name.strip().lower()
    kind = names().get(known)
    if kind is None:
        near = difflib.get_close_matches(known, names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names())}"
        raise UsageError(f"unknown operation {name!r}: {hint}")
    declared = parameters_of(kind)
    values = {}
    for part in filter(None, (part.strip() for part in arguments.split(","))):
        key, equals, word = (piece.strip() for piece in part.partition("="))
        if key not in declared or not equals:
            raise UsageError(f"{name}: found {part!r}, expected {_expected(declared)}")
        if key in values:
            raise UsageError(f"{name}: {key} is given twice")
        values[key] = declared[key].parse(f"{name}: {key}", word)
    return kind(**values)


def _expected(declared: dict[str, Parameter]) -> str:
    if not declared:
        return "nothing: it has no settings"
    return " or ".join(f"{key}=…" for key in declared)


__all__ = ["Operation", "Parameter", "names", "parameters_of", "parse"]
