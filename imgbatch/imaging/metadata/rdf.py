"""The fields of XMP's structures, whichever of RDF's ways they are written in (ISO 16684-1, 7.9).

A field may be an attribute or an element, of the structure's own element or of a description in
it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from msgspec import Struct

from imgbatch.imaging.metadata import xml_tree
from imgbatch.imaging.metadata.xml_tree import RDF, XML, XMLNS, Attribute, Element

_DESCRIPTION: Final = (RDF, "Description")
_ARRAYS: Final = frozenset({(RDF, "Bag"), (RDF, "Seq"), (RDF, "Alt")})
_SYNTAX: Final = frozenset({RDF, XMLNS, XML})
_LONG_ITEM: Final = 1_000
"""In bytes; a corner of a polygon has about 100."""


class TooLongError(ValueError):
    """An item of a list is too long to be repeated."""


class Edits(Struct):
    """How many changes were made to a document."""

    made: int = 0


class Fields:
    """The fields of a structure, or the properties of a document, by their local names.

    Only those of a namespace if one is given.
    """

    def __init__(self, holders: list[Element], edits: Edits, namespace: str | None = None) -> None:
        self._holders, self._edits, self._namespace = holders, edits, namespace

    @classmethod
    def within(cls, element: Element, edits: Edits) -> Fields:
        """The fields of the structure that is an element's value."""
        inner = [one for one in element.elements if one.name == _DESCRIPTION]
        return cls([element, *inner], edits)

    def __contains__(self, name: str) -> bool:
        return next(self._all(name), None) is not None

    def text(self, name: str) -> str | None:
        """A field's text; None if there is none."""
        found = next(self._all(name), None)
        if found is None:
            return None
        field = found[1]
        if isinstance(field, Attribute):
            return field.value.strip()
        return "".join(one for one in field.children if isinstance(one, str)).strip()

    def number(self, name: str) -> float | None:
        """A field's number; a fraction is divided. None if it is none."""
        return number(self.text(name) or "")

    def set(self, name: str, text: str) -> None:
        """Give an existing field another text."""
        for holder, field in list(self._all(name)):
            if isinstance(field, Attribute):
                if field.value.strip() == text:
                    continue
                place = holder.attributes.index(field)
                holder.attributes[place] = field._replace(value=text)
            else:
                if field.children == [text]:
                    continue
                field.children = [text]
            self._edits.made += 1

    def set_number(self, name: str, value: float, *, whole: bool = False) -> None:
        """Give an existing field a number: a whole one, or with six decimals.

        One that is the same but for rounding stays as it is written.
        """
        before = self.number(name)
        if before is None or abs(before - value) > (0.5 if whole else 5e-7):
            self.set(name, str(round(value)) if whole else decimal(value))

    def add(self, name: str, text: str, *, beside: str) -> None:
        """Add a field that is written like another, or set it."""
        if name in self:
            self.set(name, text)
            return
        holder, field = next(self._all(beside))
        prefix, colon, _ = field.written.rpartition(":")
        written = prefix + colon + name
        if isinstance(field, Attribute):
            holder.attributes.append(Attribute((field.name[0], name), written, text))
        else:
            holder.children.append(Element((field.name[0], name), written, [], [text]))
        self._edits.made += 1

    def remove(self, *names: str) -> bool:
        """Remove fields; return whether there were any."""
        before = self._edits.made
        for holder in self._holders:
            # There may be thousands of a name: each list is gone through only once.
            attributes = [one for one in holder.attributes if not self._is_one_of(one, names)]
            children = [
                one
                for one in holder.children
                if isinstance(one, str) or not self._is_one_of(one, names)
            ]
            self._edits.made += len(holder.attributes) - len(attributes)
            self._edits.made += len(holder.children) - len(children)
            holder.attributes, holder.children = attributes, children
        return self._edits.made > before

    def structure(self, name: str) -> Fields | None:
        """The fields of a field that is a structure itself; None if there is none."""
        found = next((one for _, one in self._all(name) if isinstance(one, Element)), None)
        return Fields.within(found, self._edits) if found is not None else None

    def items(self, name: str) -> list[Item]:
        """The items of a field that is an array."""
        return [
            Item(array, item, self._edits)
            for _, field in self._all(name)
            if isinstance(field, Element)
            for array in field.elements
            if array.name in _ARRAYS
            for item in array.elements
        ]

    def _all(self, name: str) -> Iterator[tuple[Element, Attribute | Element]]:
        for holder in self._holders:
            fields: list[Attribute | Element] = [*holder.attributes, *holder.elements]
            for field in fields:
                if self._is_one_of(field, (name,)):
                    yield holder, field

    def _is_one_of(self, field: Attribute | Element, names: Collection[str]) -> bool:
        namespace, local = field.name
        if local not in names:
            return False
        return namespace not in _SYNTAX if self._namespace is None else namespace == self._namespace


class Item(Fields):
    """An item of an array: a structure or a text."""

    def __init__(self, array: Element, element: Element, edits: Edits) -> None:
        inner = [one for one in element.elements if one.name == _DESCRIPTION]
        super().__init__([element, *inner], edits)
        self._array, self._element = array, element

    @property
    def value(self) -> str:
        """Its text."""
        return "".join(one for one in self._element.children if isinstance(one, str)).strip()

    def set_value(self, text: str) -> None:
        """Give it another text."""
        if self.value != text:
            self._element.children = [text]
            self._edits.made += 1

    def repeated(self, number: int, *names: str) -> list[Item]:
        """So many more, at the end of its array: of its fields only those with these names.

        Raises TooLongError if even those are long: many more of them would fill the memory.
        """
        template = _only(self._element, names)
        if number and len(xml_tree.written(template)) > _LONG_ITEM:
            raise TooLongError("an item of a list is too long to be repeated")
        elements = [_only(template, names) for _ in range(number)]
        self._array.children += elements
        self._edits.made += number
        return [Item(self._array, one, self._edits) for one in elements]

    @staticmethod
    def drop(items: Iterable[Item]) -> None:
        """Remove items from their arrays, each of which is gone through only once."""
        gone: dict[Element, set[Element | str]] = {}
        for item in items:
            gone.setdefault(item._array, set()).add(item._element)
            item._edits.made += 1
        for array, elements in gone.items():
            array.children = [one for one in array.children if one not in elements]


def _only(element: Element, names: Collection[str]) -> Element:
    """A copy with nothing but its syntax, and the fields with these names or else its text."""
    attributes = [
        one for one in element.attributes if one.name[0] in _SYNTAX or one.name[1] in names
    ]
    children: list[Element | str] = [
        _only(one, names)
        for one in element.elements
        if one.name == _DESCRIPTION or (one.name[0] not in _SYNTAX and one.name[1] in names)
    ]
    if not children:
        children += [one for one in element.children if isinstance(one, str)]
    return Element(element.name, element.written, attributes, children)


def number(text: str) -> float | None:
    """A number or a fraction; None if it is neither, or too large or too small to mean anything."""
    above, slash, below = text.partition("/")
    try:
        value = float(above) / (float(below) if slash else 1)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return value if value == 0 or 1e-12 <= abs(value) < 1e12 else None


def decimal(value: float) -> str:
    """A number with at most six decimals."""
    written = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written
