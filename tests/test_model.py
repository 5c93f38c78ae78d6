"""Plain values: they pickle whole, are frozen, and derive their properties correctly."""

from __future__ import annotations

import inspect
import os
import pickle
from typing import Any, Final

import msgspec
import pytest
from msgspec import structs

from imgbatch import model
from imgbatch.model import (
    Dated,
    Earlier,
    Encoding,
    Failure,
    FileState,
    Job,
    LeftOut,
    LeftOver,
    Limits,
    Notice,
    Origin,
    Result,
    Run,
    Source,
    Summary,
    Target,
    Warned,
    Written,
)

SOURCE: Final = Source(
    "photos", "a/b \udcff.jpg", 1234, 1_700_000_000_123_456_789, "photos", 12, 34, "/tmp/b"
)

WRITTEN: Final = Written("web", "out/a.jpg", 1600, 1067, 300_000, "jpeg", True, "options")
EARLIER: Final = Earlier(WRITTEN, (Notice("enlarged", "b"),))
FAILURE: Final = Failure("decode", "truncated", "cut short")
FAILED: Final = Result.failed(SOURCE, FAILURE, 0.5)
LEFT: Final = LeftOver("a.jpg", "a.png", "out/a.png", "/in/a", "not-made", FileState(1, 2, 3, 4), 5)
WARNED: Final = Warned(2, SOURCE, "cut short", 1)
LEFT_OUT: Final = LeftOut(3, 2, {"@eaDir": 1}, {".mov": 4}, 5)

VALUES: Final = (
    SOURCE,
    Encoding(
        "webp",
        80,
        "copyright",
        (1, 2, 3, 4),
        "perceptual",
        "4:2:2",
        True,
        True,
        3,
        "lzw",
        False,
        "Ada",
        "(c) Ada",
        500_000,
        True,
        300,
        16,
    ),
    Target(
        *("web", "out", "a.jpg"),
        replace=True,
        known=FileState(12, 34, 56, 78),
        any_suffix=True,
        again=True,
        claimed=True,
        unless=1234,
        standing="a.png",
        known_hash=5678,
        replaces="source",
        earlier=EARLIER,
    ),
    Origin("a", ".jpg", "b", 7, 12, "web", "c"),
    Job(
        SOURCE,
        (Target("web", "out", "a.jpg"), Target("thumb", "out", "b.jpg")),
        7,
        Dated("mtime", "'x'"),
        (EARLIER,),
    ),
    Limits(1.5, 2, 3),
    Run("word", "out", Limits(), True, "backup", True, True, True, True),
    Notice("depth-reduced", "it was"),
    FAILURE,
    WRITTEN,
    EARLIER,
    Result(SOURCE, "done", (WRITTEN,), (Notice("enlarged", "b"),), None, "why", 1.5, "mtime"),
    FAILED,
    LEFT_OUT,
    LEFT,
    WARNED,
    structs.replace(
        Summary(2, 9, 1, 2, 3, 1, 4, 5, 6, 7.5, 15, "full", True, [FAILED]),
        left_out=LEFT_OUT,
        up_to_date=1,
        warned={"truncated": WARNED},
        replaced={"options": 1},
        pruned=1,
        left_over={"not-made": 1},
    ),
)


def _is_struct(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, msgspec.Struct)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_plain_value_survives_pickling(value: Any, protocol: int) -> None:
    copy = pickle.loads(pickle.dumps(value, protocol))
    assert type(copy) is type(value)
    assert copy == value


def test_every_model_class_is_pickled_here_without_defaults() -> None:
    classes = {
        kind
        for _, kind in inspect.getmembers(model, _is_struct)
        if kind.__module__ == model.__name__
    }
    assert {type(value) for value in VALUES} == classes
    for kind in classes:
        for field in structs.fields(kind):
            if field.default is msgspec.NODEFAULT:
                continue
            told = [getattr(value, field.name) for value in VALUES if type(value) is kind]
            assert any(value != field.default for value in told), (kind, field.name)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_plain_values_are_slotted_and_all_but_counters_frozen(value: Any) -> None:
    assert not hasattr(value, "__dict__")
    if isinstance(value, (Summary, LeftOut, Warned)):
        return
    assert hash(value) == hash(structs.replace(value))
    for name in value.__struct_fields__:
        with pytest.raises(AttributeError, match="immutable"):
            setattr(value, name, None)


@pytest.mark.parametrize(
    ("root", "relative", "below", "path", "mirrored"),
    [
        ("photos", "a/b.jpg", "", os.path.join("photos", "a", "b.jpg"), "a/b.jpg"),
        ("photos", "a/b.jpg", "x", os.path.join("photos", "a", "b.jpg"), "x/a/b.jpg"),
        ("", "b.jpg", "", "b.jpg", "b.jpg"),
        (".", "b.jpg", "", os.path.join(".", "b.jpg"), "b.jpg"),
    ],
)
def test_source_path_and_relative_path(
    root: str, relative: str, below: str, path: str, mirrored: str
) -> None:
    source = Source(root, relative, 1, 2, below)
    assert (source.path, source.mirrored) == (path, mirrored)


def test_summary_counts_results_and_keeps_first_failures() -> None:
    summary = Summary(planned=9)
    two = (WRITTEN, structs.replace(WRITTEN, bytes=7))
    summary.add(Result(SOURCE, "done", two, (Notice("enlarged", "b"), Notice("truncated", "d"))))
    summary.add(Result(SOURCE, "skipped", reason="exists"))
    assert summary.exit_code == 0
    failures = [Result.failed(SOURCE, Failure("open", "k", str(n))) for n in range(5)]
    for failure in failures:
        summary.add(failure)
    counts = (summary.done, summary.skipped, summary.failed, summary.warnings, summary.unfinished)
    assert counts == (1, 1, 5, 2, 2)
    assert summary.copied == 1
    assert (summary.bytes_in, summary.bytes_out) == (1234, 300_007)
    assert summary.failures == failures[:3]
    assert summary.exit_code == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"failed": 1}, 1),
        ({"report_lost": True}, 1),
        ({"signal": 2}, 130),
        ({"signal": 15, "failed": 3}, 143),
    ],
)
def test_exit_code_follows_the_outcome(changes: dict[str, Any], code: int) -> None:
    assert Summary(**changes).exit_code == code
