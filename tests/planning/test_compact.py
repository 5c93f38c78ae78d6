"""Packed sequences return what was put in, and are small."""

from __future__ import annotations

import tracemalloc
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbatch.model import (
    Dated,
    Earlier,
    FileState,
    Job,
    Notice,
    Result,
    Source,
    Target,
    Written,
)
from imgbatch.planning.compact import Jobs, Skips

TEXT: Final = st.text(max_size=20)
NAMES: Final = st.one_of(TEXT, st.sampled_from(["a\udcff.jpg", "a/b.jpg", "\n", "é", ""]))
INTEGERS: Final = st.integers(0, 2**63)
SOURCES: Final = st.builds(
    Source, TEXT, NAMES, st.integers(0, 2**63), INTEGERS, NAMES, INTEGERS, INTEGERS, TEXT
)
EARLIER: Final = st.builds(
    Earlier,
    st.builds(Written, TEXT, NAMES, INTEGERS, INTEGERS, INTEGERS, TEXT, st.booleans()),
    st.lists(st.builds(Notice, st.just("damaged"), NAMES), max_size=2).map(tuple),
)
TARGETS: Final = st.builds(
    Target,
    TEXT,
    TEXT,
    NAMES,
    st.booleans(),
    st.one_of(st.none(), st.builds(FileState, INTEGERS, INTEGERS, INTEGERS, INTEGERS)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.one_of(st.none(), INTEGERS, st.binary(min_size=16, max_size=16)),
    st.one_of(st.none(), NAMES),
    st.one_of(st.none(), INTEGERS),
    st.sampled_from([None, "options"]),
    st.one_of(st.none(), EARLIER),
)
JOBS: Final = st.builds(
    Job,
    SOURCES,
    st.lists(TARGETS, max_size=3).map(tuple),
    INTEGERS,
    st.one_of(st.none(), st.builds(Dated, st.just("mtime"), TEXT)),
    st.lists(EARLIER, max_size=2).map(tuple),
)


@pytest.mark.slow
@given(
    st.lists(JOBS),
    st.sets(st.integers(0, 10)),
)
@settings(deadline=None, database=None)
def test_jobs_survive_packing(jobs: list[Job], dropped: set[int]) -> None:
    packed = Jobs()
    for job in jobs:
        packed.append(job)

    assert list(packed) == jobs
    assert [packed[index] for index in range(len(packed))] == jobs
    assert packed[1:] == jobs[1:]
    assert list(packed.places()) == [
        (job.source, [(target.output, target.relative) for target in job.targets]) for job in jobs
    ]
    assert list(packed.sizes) == [job.source.size for job in jobs]

    rest = packed.without(dropped)
    left = [job for index, job in enumerate(jobs) if index not in dropped]
    assert list(rest) == left
    assert list(rest.sizes) == [job.source.size for job in left]


@pytest.mark.slow
@given(st.lists(st.tuples(SOURCES, st.one_of(TEXT, st.just("a/b.jpg goes to c")))))
@settings(deadline=None, database=None)
def test_skipped_results_survive_packing(skipped: list[tuple[Source, str]]) -> None:
    packed = Skips()
    for source, reason in skipped:
        packed.append(source, reason)

    assert list(packed) == [
        Result(source, "skipped", reason=reason or None) for source, reason in skipped
    ]


@pytest.mark.slow
def test_packed_job_takes_less_than_two_hundred_bytes() -> None:
    packed = Jobs()
    tracemalloc.start()
    for number in range(10_000):
        relative = f"2024-05-17 Wedding/Selects/IMG_{number:05}.jpg"
        state = (5_000_000 + number, 10**18 + number)
        marks = (10**18 + 2 * number, 10**7 + number)
        source = Source("/home/somebody/Pictures", relative, *state, "", *marks)
        target = Target("resized", "/home/somebody/out", relative)
        packed.append(Job(source, (target,), number + 1))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size / 10_000 < 200
