"""Operations: what can be done to a picture, and the registry of those with a name.

To add one, write a class in a module of this package:

    @register
    @dataclass(frozen=True, slots=True)
    class Invert(PointOperation):
        \"\"\"Turn light into dark: a negative.\"\"\"

        name: ClassVar[str] = "invert"
        amount: float = parameter(1.0, low=0, high=1, help="how much of it")

        def level(self, value: float) -> float: ...

Its fields are declared once, and give parsing (`--filter invert:amount=0.5`, recipes), validation,
help (`imgbatch operations`) and documentation. A module that is installed elsewhere is named by an
entry point of the group `imgbatch.operations`. Every module here is imported to find them, so
NumPy and the heavier parts of Pillow are imported inside the functions that use them: a run
without such an operation never pays for them.
"""

from imgbatch.operations.base import Operation, parameters_of
from imgbatch.operations.parameters import Parameter
from imgbatch.operations.registry import (
    ENTRY_POINTS,
    build,
    find,
    names,
    parse,
    plain,
    unloadable,
    words_of,
)

__all__ = [
    "ENTRY_POINTS",
    "Operation",
    "Parameter",
    "build",
    "find",
    "names",
    "parameters_of",
    "parse",
    "plain",
    "unloadable",
    "words_of",
]
