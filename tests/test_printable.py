"""Text from outside is displayed on one line, and cannot control the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgbatch.printable import shown


@pytest.mark.parametrize(
    ("text", "screen"),
    [
        ("photos/Ørsted 1.jpg", "photos/Ørsted 1.jpg"),
        ("日本 🎞.jpg", "日本 🎞.jpg"),
        ("a\nb", r"a\nb"),
        ("a\tb\rc", r"a\tb\rc"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b31m", r"\x9b31m"),
        # After this character, text would be displayed right to left.
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("a\u2028b", r"a\u2028b"),
        # A byte that is not UTF-8 is kept: the stream escapes it.
        ("a\udcff\nb", "a\udcff\\nb"),
        ("", ""),
    ],
)
def test_control_characters_are_escaped_for_display(text: str, screen: str) -> None:
    assert shown(text) == screen


@given(text=st.text())
def test_displayed_text_is_one_line_without_control_characters(text: str) -> None:
    line = shown(text)
    assert len(line.splitlines()) <= 1
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in line)
