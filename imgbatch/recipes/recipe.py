"""What to make: a Recipe, from the settings that users give.

Command-line options and the Python API give the same object with the same digest: there is no
second path.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar, Unpack

import msgspec
from msgspec import Struct

from imgbatch.errors import UsageError
from imgbatch.imaging.picture import ANY_MODE
from imgbatch.model import Encoding, Size
from imgbatch.naming import PLAIN, Template
from imgbatch.operations import Operation
from imgbatch.operations.geometry import Resize
from imgbatch.recipes.declarations import Setting, check_words, declared, several
from imgbatch.recipes.names import template_of
from imgbatch.recipes.settings import (
    OutputSettings,
    RecipeSettings,
    RecipeWords,
    SharedSettings,
)
from imgbatch.recipes.steps import check_label, encoding, steps

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")

_MAX_KNOWN: Final = 1000


@dataclass(frozen=True, slots=True)
class Output:
    """One finished picture of each source: its name, its path, its operations, its encoding."""

    name: str
    template: Template
    operations: tuple[Operation, ...] = ()
    encoding: Encoding = field(default_factory=Encoding)

    def needed_size(self, size: Size) -> Size:
        """The least size this output can start from, for a picture whose file has `size`."""
        return _needed(self.operations, size, self.output_size(size))

    def output_size(self, size: Size) -> Size:
        """The size of the result, for an upright picture of `size`."""
        return _size_after(self.operations, size)


def _remembered(
    method: Callable[Concatenate[Recipe, Asked], Answer],
) -> Callable[Concatenate[Recipe, Asked], Answer]:
    """Let a recipe's method remember its answers: the photos of a shoot have few sizes."""

    @wraps(method)
    def answer(self: Recipe, /, *args: Asked.args, **named: Asked.kwargs) -> Answer:
        key = (method.__name__, args, *named.items())
        known = self._known
        if key in known:
            found: Answer = known[key]
            return found
        made = method(self, *args, **named)
        if len(known) < _MAX_KNOWN:
            known[key] = made
        return made

    return answer


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is made of every source: operations done once, then one or more outputs.

    `name` is the suffix of the default output folder (`photos-resized`). `raw_preview` uses the
    JPEG that a camera embeds in its raw files instead of developing them.
    """

    name: str
    outputs: tuple[Output, ...]
    prepare: tuple[Operation, ...] = ()
    raw_preview: bool = False
    _known: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for output in self.outputs:
            steps = (*self.prepare, *output.operations)
            unknown = [step.name for step in steps if not step.sizes_known]
            sizes = output.template.fields & {"width", "height"}
            if unknown and sizes:
                raise UsageError(
                    f"{{{min(sizes)}}} cannot be in the name of {output.name}: the size after "
                    f"{unknown[0]} is only known when the pictures are made"
                )

    @classmethod
    def from_options(cls, name: str = "resized", **words: Unpack[RecipeWords]) -> Self:
        """A recipe from the command line's own settings (docs/cli.md explains them).

        Without `sizes` the size stays. Each size may be named: `web=1600`. Raises UsageError for
        a setting that makes no sense, TypeError for one that there is not.
        """
        check_words("from_options", words, RecipeWords.__annotations__)
        return cls.from_settings(name, RecipeSettings(**words))

    @classmethod
    def from_settings(cls, name: str, settings: RecipeSettings) -> Self:
        """The recipe for these settings; raises UsageError for one that makes no sense."""
        sizes = [_size_word(size) for size in several("sizes", settings.sizes)]
        template = declared(RecipeSettings)["template"].check(settings.template)
        naming = template or ("{stem}-{output}{ext}" if len(sizes) > 1 else PLAIN)
        shared = {name: _given(settings, one) for name, one in declared(SharedSettings).items()}
        filters = several("filters", settings.filters)
        outputs = []
        for word in sizes or (None,):
            label, _, spec = (name, "", "") if word is None else word.rpartition("=")
            size = None if word is None else spec
            output = OutputSettings(**shared, size=size, operations=filters)
            operations = steps(output)
            called = check_label(label or spec.strip())
            saved = encoding(output)
            outputs.append(Output(called, template_of(naming, saved), operations, saved))
        names = [output.name for output in outputs]
        for twice in {label for label in names if names.count(label) > 1}:
            raise UsageError(
                f"two sizes are called {twice!r}: give each a name of its own, as in web=1600"
            )
        preview = declared(RecipeSettings)["raw_preview"].check(settings.raw_preview)
        return cls(name, tuple(outputs), raw_preview=preview)

    @property
    def steps(self) -> list[Operation]:
        """All operations, those of each output after the preparation."""
        return [*self.prepare, *(step for out in self.outputs for step in out.operations)]

    def uses(self, field: str) -> bool:
        """Whether a field of names is needed: in a name, or by an operation."""
        names = (out.template.fields for out in self.outputs)
        asked = (step.name_fields for step in self.steps)
        return any(field in fields for fields in (*names, *asked))

    @_remembered
    def needed_size(self, size: Size) -> Size:
        """The least size that all outputs can start from, for a picture whose file has `size`."""
        prepared = _size_after(self.prepare, size)
        needs = [output.needed_size(prepared) for output in self.outputs]
        most = max(need[0] for need in needs), max(need[1] for need in needs)
        return _needed(self.prepare, size, most)

    @_remembered
    def working_bytes(
        self,
        full_size: Size,
        decoded_size: Size,
        source: str | None = None,
        *,
        mode: str = ANY_MODE,
        frames: int = 1,
    ) -> int:
        """The most memory that operations and encoding take besides the decoded picture.

        `source` is the name of its format, for outputs that keep it, and `mode` that of its pixels.
        Without them the worst case is assumed.
        """
        # It loads Pillow, which the process that plans does without.
        from imgbatch.recipes import memory

        begins = [
            (self.outputs[start.output], start.serves)
            for start in self.starts(_size_after(self.prepare, full_size))
        ]
        return memory.working_bytes(
            self.prepare,
            [memory.Made(output.operations, output.encoding, serves) for output, serves in begins],
            memory.Start(full_size, decoded_size, source, mode, frames),
        )

    @_remembered
    def starts(self, size: Size) -> tuple[Start, ...]:
        """Which picture each output starts from, for prepared ones of `size`; largest first.

        A smaller one starts from a larger one that was only resized, if nobody could tell the
        difference (`Resize.may_follow`).
        """
        order = sorted(
            range(len(self.outputs)),
            key=lambda index: -_area(self.outputs[index].needed_size(size)),
        )
        found: list[tuple[int, int | None]] = []
        for index in order:
            step = _first_resize(self.outputs[index])
            nearer = [
                other
                for other, _ in found
                if (larger := _first_resize(self.outputs[other])) is not None
                and step is not None
                and step.may_follow(larger, size)
            ]
            # They are in order, so the last is the smallest.
            found.append((index, nearer[-1] if nearer else None))
        used = {base for _, base in found}
        return tuple(Start(index, base, index in used) for index, base in found)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that change when any field does."""
        return _digest(self)

    def digest_of(self, output: Output) -> str:
        """The same for what makes the pixels and the file of one output: everything but names."""
        parts = (self.prepare, self.raw_preview, output.operations, output.encoding)
        steps = (*self.prepare, *output.operations)
        named = any("output" in step.name_fields for step in steps)
        return _digest((*parts, output.name) if named else parts)


def _given(settings: RecipeSettings, one: Setting) -> Any:
    """The value of a setting; None is the usual one."""
    value = getattr(settings, one.name)
    return one.default if value is None else value


def _size_word(size: object) -> str:
    """A size as it is typed; 1600 is one, too."""
    if isinstance(size, bool) or not isinstance(size, str | int):
        raise UsageError(f"found the size {size!r}, expected 1600, '1600x1200' or another size")
    return str(size)


class Start(Struct, frozen=True):
    """Where an output starts: from the prepared picture, or from another output's (`base`) as it
    is after its resize. `serves` tells whether others start from this one's.

    Outputs are numbered in the recipe's order.
    """

    output: int
    base: int | None
    serves: bool


def _first_resize(output: Output) -> Resize | None:
    first = output.operations[0] if output.operations else None
    return first if isinstance(first, Resize) else None


def _area(size: Size) -> int:
    return size[0] * size[1]


def _size_after(operations: Iterable[Operation], size: Size) -> Size:
    for operation in operations:
        size = operation.output_size(size)
    return size


def _needed(operations: Sequence[Operation], size: Size, wanted: Size) -> Size:
    """The size that the first operation must be given so that the last can produce `wanted`."""
    sizes = [size]
    for operation in operations:
        sizes.append(operation.output_size(sizes[-1]))
    for operation, before in zip(reversed(operations), reversed(sizes[:-1]), strict=True):
        wanted = operation.needed_size(before, wanted)
    return wanted


def _digest(value: Any) -> str:
    plain = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """Structs and dataclasses by their class and fields, so no list of fields is kept by hand."""
    fields = _defaults(value)
    if fields is not None:
        later: frozenset[str] = getattr(type(value), "LATER", frozenset())
        counted = {
            name: _plain(getattr(value, name))
            for name, default in fields.items()
            if name not in later or getattr(value, name) != default
        }
        return {"class": type(value).__name__, **counted}
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _defaults(value: Any) -> dict[str, Any] | None:
    """The fields that count, by name, with their defaults; None if it has no fields."""
    if isinstance(value, Struct):
        names, defaults = value.__struct_fields__, value.__struct_defaults__
        # Those without a default come first.
        missing = (msgspec.NODEFAULT,) * (len(names) - len(defaults))
        return dict(zip(names, (*missing, *defaults), strict=True))
    if dataclasses.is_dataclass(value):
        return {one.name: one.default for one in dataclasses.fields(value) if one.compare}
    return None
