"""Many cases in one test: all are tried, and the one that fails is named."""

from __future__ import annotations

import inspect

import pytest
from toolkit.cases import together


def test_every_combination_is_tried_and_fixtures_are_left_to_pytest() -> None:
    tried = []

    @pytest.mark.slow
    @together("word", ["a", "b"])
    @together("low, high", [(1, 2), (3, 4)])
    def tests(fixture: str, word: str, low: int, high: int) -> None:
        tried.append((fixture, word, low, high))

    assert list(inspect.signature(tests).parameters) == ["fixture"]
    tests(fixture="f")
    assert tried == [("f", word, low, low + 1) for word in "ab" for low in (1, 3)]


def test_failing_case_is_named() -> None:
    @together("word", ["a", "b"])
    @together("number", [1, 2])
    def tests(word: str, number: int) -> None:
        assert (word, number) != ("b", 1)

    with pytest.raises(AssertionError) as failed:
        tests()
    assert failed.value.__notes__ == ["number=1", "word='b'"]


def test_mistake_in_the_test_itself_is_refused() -> None:
    with pytest.raises(AssertionError, match="nothing to test: mode"):
        together("mode", [])
    with pytest.raises(AssertionError, match="size"):

        @together("size", [1])
        def tests(mode: str) -> None:
            raise AssertionError(mode)
