"""Text from outside (names, messages of libraries) in a form that is safe to display."""

from __future__ import annotations


def shown(text: str) -> str:
    """A path or message for one line on a screen, with control characters escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or ord(c) > 0xD7FF else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
