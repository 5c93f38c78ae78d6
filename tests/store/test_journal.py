"""The journal, the logs it learns from, and how a plan uses both."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgbatch.errors import UsageError
from imgbatch.model import UP_TO_DATE, FileState, Made, OnConflict, Source
from imgbatch.planning.in_place import InPlace
from imgbatch.planning.plan import Plan, plan
from imgbatch.planning.scan import Selection, scan
from imgbatch.planning.to_folder import ToFolder
from imgbatch.recipes.recipe import Recipe
from imgbatch.store import local_files, worker_log
from imgbatch.store.crc import crc32
from imgbatch.store.journal import NAME, DamagedError, Journal
from imgbatch.store.worker_log import FOLDER, Claim, Entry

STATE: Final = FileState(1000, 1_700_000_000_123_456_789, 1_700_000_001_123_456_789, 12345)


def database(output: Path) -> Path:
    return output / FOLDER / NAME


def claim(target: str) -> Claim:
    return target, f"/photos/{target}".encode(), STATE, "digest"


def publish(output: Path, target: str, run: str, data: bytes = b"picture") -> FileState:
    """What a worker does: stage, log, publish."""
    staged = local_files.stage(str(output / target), data, run)
    worker_log.write(str(output), run, [Entry(target, staged.state)])
    staged.publish()
    return staged.state


def made_row(source: bytes, output: Path) -> Made:
    """The row of an output whose source was in `STATE`."""
    size, mtime_ns, ctime_ns, inode = local_files.state(str(output)) or STATE
    return Made(
        *(source, STATE.size, STATE.mtime_ns, "digest", size, mtime_ns),
        source_ctime_ns=STATE.ctime_ns,
        source_inode=STATE.inode,
        ctime_ns=ctime_ns,
        inode=inode,
    )


def made_before(output: Path, *targets: str) -> None:
    """A run that made the targets and ended."""
    journal = Journal.open(str(output))
    journal.begin("before", map(claim, targets))
    for target in targets:
        publish(output, target, "before")
    journal.finish()


def test_folder_without_a_journal_has_no_records_and_is_not_touched(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path / "out"))

    assert journal.lookup("a.jpg") is None
    assert not (tmp_path / "out").exists()


def test_outputs_of_one_run_are_known_to_the_next(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path))
    journal.begin("run", [claim("a.jpg"), claim("b/c.jpg"), claim("never.jpg")])
    publish(tmp_path, "a.jpg", "run")
    publish(tmp_path, "b/c.jpg", "run")
    journal.finish()

    again = Journal.open(str(tmp_path))

    assert again.lookup("a.jpg") == made_row(b"/photos/a.jpg", tmp_path / "a.jpg")
    assert again.lookup("b/c.jpg") == made_row(b"/photos/b/c.jpg", tmp_path / "b/c.jpg")
    assert again.lookup("never.jpg") is None
    assert os.listdir(tmp_path / FOLDER) == [NAME, f"{NAME}-wal"]


@pytest.fixture
def _named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files have names, as in place and on some file systems."""
    monkeypatch.setattr(local_files, "_NAMELESS", False)


@pytest.mark.usefixtures("_named")
def test_outputs_of_a_killed_run_are_learnt_from_its_logs(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path))
    journal.begin("killed", [claim("a.jpg"), claim("b.jpg"), claim("c.jpg")])
    publish(tmp_path, "a.jpg", "killed")
    # Logged and staged, but killed before it was published.
    staged = local_files.stage(str(tmp_path / "b.jpg"), b"picture", "killed")
    worker_log.write(str(tmp_path), "killed", [Entry("b.jpg", staged.state)])
    journal.close()

    again = Journal.open(str(tmp_path))

    assert again.lookup("a.jpg") == made_row(b"/photos/a.jpg", tmp_path / "a.jpg")
    assert again.lookup("b.jpg") == Made(
        *(None,) * 8,
        *(b"/photos/b.jpg", STATE.size, STATE.mtime_ns, "digest"),
        next_source_ctime_ns=STATE.ctime_ns,
        next_source_inode=STATE.inode,
    )
    again.begin("next", [])
    assert not os.path.exists(staged.temporary)
    again.finish()
    assert os.listdir(tmp_path / FOLDER) == [NAME]


@pytest.mark.usefixtures("_named")
def test_only_temporary_files_of_dead_runs_are_swept(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path))
    journal.begin("dead", [claim("a.jpg")])
    journal.close()
    dead = local_files.stage(str(tmp_path / "deep/er/a.jpg"), b"", "dead")
    other = local_files.stage(str(tmp_path / "deep/er/a.jpg"), b"", "other")

    again = Journal.open(str(tmp_path))
    again.begin("mine", [])
    again.finish()

    assert not os.path.exists(dead.temporary)
    assert os.path.exists(other.temporary)


def test_file_not_in_the_logged_state_is_not_adopted(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path))
    journal.begin("killed", [claim("a.jpg")])
    publish(tmp_path, "a.jpg", "killed")
    (tmp_path / "a.jpg").write_bytes(b"somebody's")
    journal.close()

    found = Journal.open(str(tmp_path)).lookup("a.jpg")

    assert found is not None
    assert found.next_recipe == "digest"
    assert found.size is None


@pytest.mark.parametrize(
    "torn",
    [
        b"",
        b'["b.jpg",12',
        b"\0\0\0\0\0\0",
        b"nonsense\n[1,2]\n",
        # Of wrong types, or with values that no file has; each of them once ended a run.
        *(
            json.dumps(fields).encode() + b"\n"
            for fields in (
                ("b.jpg", [1, 2, 0, 3], None, "x", None),
                ("b.jpg", [1, 2, 0, 3], None, None, 2**32),
                ("b.jpg", [1, 2, 0, 3], None, None, True),
                (7, [1, 2, 0, 3], None, None, None),
                (["b.jpg"], [1, 2, 0, 3], None, None, None),
                ("b.jpg", ["1", 2, 0, 3], None, None, None),
                ("b.jpg", [True, 2, 0, 3], None, None, None),
                ("b.jpg", [1, 2.5, 0, 3], None, None, None),
                ("b.jpg", [1, 2, None, 3], None, None, None),
                ("b.jpg", [2**63, 2, 0, 3], None, None, None),
                ("b.jpg", [1, 2, 0, 3, 4], None, None, None),
                ("b.jpg", 1, None, None, None),
                ("b.jpg", [1, 2, 0, 3], {"c": 1}, None, None),
                ("b.jpg", [1, 2, 0, 3]),
                ("\ud800", [1, 2, 0, 3], None, None, None),
                ("b\0.jpg", [1, 2, 0, 3], None, None, None),
                ("../b.jpg", [1, 2, 0, 3], None, None, None),
                ("/b.jpg", [1, 2, 0, 3], None, None, None),
                ("b.jpg", [1, 2, 0, 3], "../b.jpg", None, None),
                ("b.jpg", [1, 2, 0, 3], "c.jpg", None, None),
                ("", "b.jpg", "xy", [1, 2, 0, 3], "digest"),
                ("", "b.jpg", "61", [1, 2, 0, 3], 5),
                ("", "../b.jpg", "61", [1, 2, 0, 3], "digest"),
                ("", "b.jpg", 5, [1, 2, 0, 3], "digest"),
            )
        ),
        b"[" * 100_000 + b"\n",
        b"7" * 5_000 + b"\n",
        b'{"target": 1}\n',
    ],
)
def test_torn_log_is_read_up_to_the_tear(tmp_path: Path, torn: bytes) -> None:
    runlog_folder = tmp_path / FOLDER
    runlog_folder.mkdir()
    state = STATE._replace(ctime_ns=0)
    entries = [
        Entry("a\udcff.jpg", state),
        Entry("b\n.jpg", state, "b\n.png", 12, 34),
    ]
    worker_log.write(str(tmp_path), "run", entries)
    ((path,),) = worker_log.logs(str(tmp_path)).values()
    with open(path, "ab") as file:
        file.write(torn)

    assert list(worker_log.read_all(path)) == entries


def test_log_is_read_on_from_the_last_position(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    state = STATE._replace(ctime_ns=0)
    worker_log.write(str(tmp_path), "run", [Entry("a", state)])
    ((path,),) = worker_log.logs(str(tmp_path)).values()
    _, end, _ = worker_log.read(path)
    worker_log.write(str(tmp_path), "run", [Entry("b", state)])

    entries, end, rejected = worker_log.read(path, end)

    assert (entries, rejected) == ([Entry("b", state)], 0)
    assert worker_log.read(path, end) == ([], end, 0)


def test_journal_grows_during_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgbatch.store.journal.COLLECT_SECONDS", 0)
    journal = Journal.open(str(tmp_path))
    journal.begin("run", [claim("a.jpg"), claim("b.jpg")])
    publish(tmp_path, "a.jpg", "run")
    # Logged in time, published after the next look.
    staged = local_files.stage(str(tmp_path / "b.jpg"), b"picture", "run")
    worker_log.write(str(tmp_path), "run", [Entry("b.jpg", staged.state)])
    journal.collect()

    assert [bool(row.next_recipe) for row in rows(journal, "a.jpg", "b.jpg")] == [False, True]

    staged.publish()
    journal.collect()

    assert [bool(row.next_recipe) for row in rows(journal, "a.jpg", "b.jpg")] == [False, False]


def rows(journal: Journal, *targets: str) -> list[Made]:
    journal._page_span = (b"", b"")
    found = [journal.lookup(target) for target in targets]
    return [made for made in found if made is not None]


def test_output_that_was_not_remade_in_time_is_still_ours(tmp_path: Path) -> None:
    made_before(tmp_path, "a.jpg")
    journal = Journal.open(str(tmp_path))
    (before,) = rows(journal, "a.jpg")
    journal.begin("run", [("a.jpg", b"/photos/a.jpg", STATE, "another digest")])
    journal.close()
    killed = Journal.open(str(tmp_path))
    (pending,) = rows(killed, "a.jpg")
    killed.begin("next", [])
    killed.finish()

    found = Journal.open(str(tmp_path)).lookup("a.jpg")

    assert pending == before._replace(
        next_source=b"/photos/a.jpg",
        next_source_size=STATE.size,
        next_source_mtime_ns=STATE.mtime_ns,
        next_source_ctime_ns=STATE.ctime_ns,
        next_source_inode=STATE.inode,
        next_recipe="another digest",
    )
    assert found == before


def test_second_run_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    first = Journal.open(str(tmp_path))
    first.begin("first", [])

    with pytest.raises(UsageError, match="another run is writing into"):
        Journal.open(str(tmp_path))

    first.finish()
    Journal.open(str(tmp_path)).close()


def test_two_runs_that_find_no_journal_do_not_both_start(tmp_path: Path) -> None:
    first, second = Journal.open(str(tmp_path)), Journal.open(str(tmp_path))
    first.begin("first", [])

    with pytest.raises(UsageError, match="another run is writing into"):
        second.begin("second", [])

    assert len(worker_log.logs(str(tmp_path))) == 1, "the second one leaves no mark"


NAMES: Final = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1)


@pytest.mark.slow
@given(known=st.sets(NAMES, max_size=60), asked=st.lists(NAMES, max_size=60), data=st.data())
@settings(deadline=None, database=None, max_examples=60)
def test_lookups_give_the_same_in_any_order(
    tmp_path_factory: pytest.TempPathFactory,
    known: set[str],
    asked: list[str],
    data: st.DataObject,
) -> None:
    journal = Journal.open(str(tmp_path_factory.mktemp("out")))
    journal.begin("run", map(claim, known))
    in_order: bool = data.draw(st.booleans())
    wanted = [*asked, *known]

    for name in sorted(wanted) if in_order else wanted:
        found = journal.lookup(name)
        assert (found is not None) == (name in known)
        assert found is None or found.next_source == f"/photos/{name}".encode()
    journal.close()


def test_long_range_of_names_is_read_in_few_pages(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path))
    names = [f"{number:05}.jpg" for number in range(5000)]
    journal.begin("run", map(claim, names))
    asked: list[str] = []
    assert journal._connection is not None
    journal._connection.set_trace_callback(asked.append)

    assert len(rows(journal, *names)) == 5000
    assert len(asked) < 30


# Damage


def _random_bytes(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()


def _of_a_later_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage", [_random_bytes, _cut_short, _foreign, _of_a_later_version, _a_folder]
)
def test_unreadable_journal_is_set_aside(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    made_before(tmp_path, *(f"{number}.jpg" for number in range(200)))
    damage(database(tmp_path))

    journal = Journal.open(str(tmp_path))
    with_damage = [*journal.notices]
    try:
        journal.lookup("0.jpg")
    except DamagedError as error:
        journal.set_aside(str(error))
        with_damage = [*journal.notices]
    assert journal.lookup("0.jpg") is None
    journal.begin("run", [claim("a.jpg")])
    publish(tmp_path, "a.jpg", "run")
    journal.finish()

    (notice,) = with_damage
    assert "set aside as" in notice
    assert (tmp_path / FOLDER / "set-aside-1.sqlite").exists()
    assert Journal.open(str(tmp_path)).lookup("a.jpg") is not None


def test_empty_file_is_a_journal_just_created(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    database(tmp_path).touch()

    journal = Journal.open(str(tmp_path))
    journal.begin("run", [claim("a.jpg")])

    assert journal.notices == []
    assert journal.lookup("a.jpg") is not None


def test_run_goes_on_where_no_journal_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*arguments: object, **options: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("locking protocol")

    monkeypatch.setattr(sqlite3, "connect", connect)
    journal = Journal.open(str(tmp_path))
    journal.begin("run", [claim("a.jpg")])
    publish(tmp_path, "a.jpg", "run")
    journal.collect()
    journal.finish()

    (notice,) = journal.notices
    assert "no journal is kept" in notice
    assert "locking protocol" in notice


def test_journal_that_fails_midway_leaves_the_logs_to_the_next_run(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path))
    journal.begin("run", [claim("a.jpg")])
    state = publish(tmp_path, "a.jpg", "run")
    assert journal._connection is not None
    # As on a full disk: reading works, writing does not.
    journal._connection.execute("PRAGMA query_only = ON")
    journal.finish()

    assert len(journal.notices) == 1
    again = Journal.open(str(tmp_path))
    assert rows(again, "a.jpg")[0][4:6] == state[:2]


# How a plan uses it

RECIPE: Final = Recipe.from_options(sizes=["100"], format="jpeg")
DIGEST: Final = RECIPE.digest_of(RECIPE.outputs[0])
OTHER: Final = Recipe.from_options(sizes=["100"], format="jpeg", quality=50)


def decided(
    tmp_path: Path,
    made: Callable[[Source, Path], Made | None],
    *,
    there: bytes | None = b"picture",
    on_conflict: OnConflict = "error",
    recipe: Recipe = RECIPE,
    force: bool = False,
    sources: Iterable[str] = ("a.png",),
) -> Plan:
    """A plan for photos/a.png with a target out/a.jpg, which the journal records as `made`."""
    out, photos = tmp_path / "out", tmp_path / "photos"
    out.mkdir()
    photos.mkdir()
    if there is not None:
        (out / "a.jpg").write_bytes(there)
    found = []
    for name in sources:
        (photos / name).write_bytes(b"original")
        stat = (photos / name).stat()
        found.append(Source(str(photos), name, stat.st_size, stat.st_mtime_ns))
    row = made(found[0], out / "a.jpg")
    policy = ToFolder(
        recipe,
        str(out),
        on_conflict=on_conflict,
        force=force,
        lookup=lambda target: row if target == "a.jpg" else None,
    )
    return plan(found, policy)


def row_of(original: Source, output: Path, /, **changes: Any) -> Made:
    """The row of an output of seven bytes made this way."""
    _, mtime_ns, *_ = local_files.state(str(output)) or (7, 1)
    path = os.fsencode(os.path.abspath(original.path))
    told = (path, original.size, original.mtime_ns, DIGEST)
    row = Made(*told, 7, mtime_ns)
    if changes.pop("pending", False):
        row = Made(*row[:8], *told)
    if changes.pop("never", False):
        row = row._replace(**dict.fromkeys(Made._fields[:8]))
    return row._replace(**changes)


def outcome(planned: Plan) -> str:
    """The outcome of the single source as one word."""
    if planned.conflicts:
        return planned.conflicts[0].message.rpartition("out/a.jpg ")[2].partition(",")[0]
    if len(planned.skipped):
        return planned.skipped[0].reason or ""
    (job,) = planned.jobs
    (target,) = job.targets
    if target.replace:
        return f"overwrite {target.relative}"
    return f"replace {target.known.size} bytes" if target.known else f"make {target.relative}"


EXISTS: Final = "exists already"
CHANGED: Final = "was changed since imgbatch made it"


@pytest.mark.parametrize(
    ("changes", "there", "expected"),
    [
        ({}, b"picture", UP_TO_DATE),
        ({}, None, "make a.jpg"),
        ({}, b"", "replace 0 bytes"),
        # The time of a copy does not matter as long as nothing is overwritten.
        ({"mtime_ns": 5}, b"picture", UP_TO_DATE),
        ({"source_size": 5}, b"picture", "replace 7 bytes"),
        ({"source_mtime_ns": 5}, b"picture", "replace 7 bytes"),
        ({"recipe": "another"}, b"picture", "replace 7 bytes"),
        ({"recipe": "another", "mtime_ns": 5}, b"picture", CHANGED),
        ({"recipe": "another", "mtime_ns": 5}, b"", "replace 0 bytes"),
        ({"source_mtime_ns": 5, "mtime_ns": 5}, b"picture", CHANGED),
        # Shorter than it was: whoever remakes it checks whether a power cut did that.
        ({"size": 99, "mtime_ns": 5}, b"picture", "make a.jpg"),
        ({"size": 99}, b"picture", "make a.jpg"),
        ({"size": 99, "recipe": "another"}, b"picture", CHANGED),
        ({"size": 5, "mtime_ns": 5}, b"picture", CHANGED),
        # An editor that keeps times.
        ({"size": 5}, b"picture", CHANGED),
        # It was moved, or there is another.
        ({"source": b"/elsewhere/a.png"}, b"picture", UP_TO_DATE),
        ({"source": b"/elsewhere/a.png", "recipe": ""}, b"picture", "replace 7 bytes"),
        ({"source": b"/"}, b"picture", "was made from another picture"),
        (
            {"source": b"/elsewhere/a.png", "source_size": 5},
            b"picture",
            "was made from another picture",
        ),
        # A run that did not end was to remake it, or to make it for the first time.
        ({"pending": 1}, b"picture", UP_TO_DATE),
        ({"pending": 1, "recipe": ""}, b"picture", "replace 7 bytes"),
        ({"pending": 1, "never": 1}, b"picture", "make a.jpg"),
        ({"pending": 1, "never": 1}, b"", "replace 0 bytes"),
        ({"pending": 1, "never": 1, "next_recipe": "x"}, b"picture", EXISTS),
        ({"pending": 1, "mtime_ns": 5}, b"picture", "make a.jpg"),
        ({"pending": 1, "mtime_ns": 5, "next_recipe": "x"}, b"picture", CHANGED),
    ],
)
def test_outcome_of_a_target_known_to_the_journal(
    tmp_path: Path, changes: dict[str, Any], there: bytes | None, expected: str
) -> None:
    planned = decided(tmp_path, lambda *where: row_of(*where, **changes), there=there)

    assert outcome(planned) == expected


@pytest.mark.parametrize(
    ("on_conflict", "expected"),
    [
        ("error", CHANGED),
        ("skip", "already there"),
        ("overwrite", "overwrite a.jpg"),
        ("rename", "make a-2.jpg"),
    ],
)
def test_changed_output_counts_as_foreign(
    tmp_path: Path, on_conflict: OnConflict, expected: str
) -> None:
    planned = decided(
        tmp_path,
        lambda *where: row_of(*where, mtime_ns=5, recipe="another"),
        on_conflict=on_conflict,
    )

    assert outcome(planned).startswith(expected)


@pytest.mark.parametrize("on_conflict", ["error", "skip", "overwrite", "rename"])
def test_own_output_is_up_to_date_or_replaced_whatever_happens_to_others(
    tmp_path: Path, on_conflict: OnConflict
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()

    same = decided(tmp_path / "1", row_of, on_conflict=on_conflict)
    changed = decided(tmp_path / "2", row_of, on_conflict=on_conflict, recipe=OTHER)

    assert outcome(same) == UP_TO_DATE
    assert outcome(changed) == "replace 7 bytes"


def test_force_remakes_what_is_up_to_date_but_not_what_was_changed(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()

    ours = decided(tmp_path / "1", row_of, force=True)
    theirs = decided(tmp_path / "2", lambda *where: row_of(*where, mtime_ns=5), force=True)

    assert outcome(ours) == "replace 7 bytes"
    assert outcome(theirs) == CHANGED


def test_output_of_one_of_two_sources_is_not_given_to_the_other(
    tmp_path: Path,
) -> None:
    planned = decided(tmp_path, row_of, sources=["a.png", "a.webp"])

    assert planned.skipped[0].source.relative == "a.png"
    assert "was made from another picture" in planned.conflicts[0].message


def test_output_that_became_a_source_is_not_replaced(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"original")
    stat = (photos / "a.jpg").stat()
    source = Source(str(photos), "a.jpg", stat.st_size, stat.st_mtime_ns)
    row = row_of(source, photos / "a.jpg", recipe="another")

    planned = plan([source], ToFolder(RECIPE, str(photos), lookup=lambda target: row))

    assert "is the original" in planned.conflicts[0].message


@pytest.mark.parametrize(
    ("changes", "hashed", "expected"),
    [
        ({}, False, UP_TO_DATE),
        ({"mtime_ns": 5}, True, "compare"),
        ({"mtime_ns": 5}, False, "make"),
        ({"ctime_ns": 5}, True, "compare"),
        ({"inode": 5}, True, "compare"),
        ({"ctime_ns": 5, "recipe": "another"}, True, "again"),
        ({"ctime_ns": 5, "recipe": "another"}, False, "make"),
        ({"size": 5}, True, "make"),
        ({"recipe": "another"}, True, "again"),
        # A run of another recipe that failed or was killed has not touched it.
        ({"next_recipe": "another"}, True, UP_TO_DATE),
        (None, False, "make"),
    ],
)
def test_in_place_nothing_is_made_twice(
    tmp_path: Path, changes: dict[str, Any] | None, hashed: bool, expected: str
) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"result")
    stat = file.stat()
    (source,) = scan([str(file)], Selection())
    recipe = Recipe.from_options(sizes=["100"])
    row = None
    if changes is not None:
        digest = recipe.digest_of(recipe.outputs[0])
        row = Made(b"", 99, 99, digest, stat.st_size, stat.st_mtime_ns)
        row = row._replace(hash=crc32(b"result") if hashed else None)
        row = row._replace(**changes)

    planned = plan([source], InPlace(recipe, str(tmp_path), lookup=lambda target: row))

    if expected == UP_TO_DATE:
        assert [result.reason for result in planned.skipped] == [UP_TO_DATE]
        return
    ((target,),) = (job.targets for job in planned.jobs)
    assert target.path == str(file)
    assert target.known == local_files.state(str(file))
    assert target.unless == (crc32(b"result") if "compare" in expected else None)
    assert target.again == ("again" in expected)


def test_in_place_links_and_files_given_twice_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"original")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    sources = [Source(str(tmp_path), name, 8, 1) for name in ("a.jpg", "a.jpg", "link.jpg")]

    planned = plan(sources, InPlace(Recipe.from_options(), str(tmp_path)))

    assert [job.source.relative for job in planned.jobs] == ["a.jpg"]
    assert [result.source.relative for result in planned.skipped] == ["a.jpg"]
    assert [conflict.source.relative for conflict in planned.conflicts] == ["link.jpg"]
