"""From paths to Sources: real trees, links, pipes and sockets."""

from __future__ import annotations

import builtins
import io
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from toolkit.folders import plant, planted

from imgbatch.errors import UsageError
from imgbatch.model import Source
from imgbatch.planning.scan import Selection, scan

EVERYTHING = Selection()


def found(
    *paths: Path | str,
    selection: Selection = EVERYTHING,
    output: Path | str | None = None,
    listed: Sequence[Path | str] = (),
) -> list[Source]:
    return list(
        scan(
            [os.fspath(path) for path in paths],
            selection,
            output=None if output is None else os.fspath(output),
            listed=[os.fspath(path) for path in listed],
        )
    )


def mirrored(sources: Sequence[Source]) -> list[str]:
    return [source.mirrored for source in sources]


def test_tree_is_walked_in_order_each_folders_own_files_first(tmp_path: Path) -> None:
    plant(tmp_path, "z.jpg", "b.jpg", "a.png", "m/n/2.jpg", "m/1.jpg", "o/4.jpg", "c/3.jpg")

    assert mirrored(found(tmp_path)) == [
        *("a.png", "b.jpg", "z.jpg"),
        *("c/3.jpg", "m/1.jpg", "m/n/2.jpg", "o/4.jpg"),
    ]


def test_subfolders_are_omitted_without_recursion(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg", "sub/b.jpg")

    assert mirrored(found(tmp_path, selection=Selection(recursive=False))) == ["a.jpg"]


def test_source_has_path_size_and_time(tmp_path: Path) -> None:
    file = planted(tmp_path, b"twelve bytes", "sub/four.jpg")
    os.utime(file, ns=(1, 1_600_000_000_123_456_789))

    stat = file.stat()
    size, mtime_ns = len(b"twelve bytes"), 1_600_000_000_123_456_789
    marks = (stat.st_ctime_ns, stat.st_ino)
    assert found(tmp_path) == [Source(str(tmp_path), "sub/four.jpg", size, mtime_ns, "", *marks)]
    assert found(tmp_path)[0].path == str(file)


def test_relative_paths_stay_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "photos/a.jpg")
    monkeypatch.chdir(tmp_path)

    assert [source.path for source in found("photos")] == ["photos/a.jpg"]
    assert [source.path for source in found("photos/a.jpg")] == ["photos/a.jpg"]


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("a.jpg", True),
        ("a.JPEG", True),
        ("a.Tif", True),
        ("a.webp", True),
        ("two.dots.png", True),
        ("a.jpg.bak", False),
        ("notes.txt", False),
        ("jpg", False),
        (".hidden.jpg", False),
        ("._a.jpg", False),
        (".git/a.jpg", False),
        ("sub/.cache/deep/a.jpg", False),
    ],
)
def test_folder_yields_visible_files_with_known_suffixes(
    tmp_path: Path, name: str, taken: bool
) -> None:
    plant(tmp_path, name)

    assert mirrored(found(tmp_path)) == ([name] if taken else [])


def test_hidden_folder_is_walked_if_given_explicitly(tmp_path: Path) -> None:
    plant(tmp_path, ".secret/a.jpg")

    assert mirrored(found(tmp_path / ".secret")) == ["a.jpg"]


def test_link_loops_terminate(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg", "sub/b.jpg")
    (tmp_path / "sub/again").symlink_to(tmp_path)
    (tmp_path / "sub/itself").symlink_to("itself")

    assert mirrored(found(tmp_path)) == ["a.jpg", "sub/b.jpg"]


def test_folder_with_several_names_is_visited_once(tmp_path: Path) -> None:
    plant(tmp_path, "elsewhere/a.jpg", "photos/b.jpg")
    for link in ("first", "second"):
        (tmp_path / "photos" / link).symlink_to(tmp_path / "elsewhere")

    assert mirrored(found(tmp_path / "photos")) == ["b.jpg", "first/a.jpg"]


def test_link_to_a_file_is_followed(tmp_path: Path) -> None:
    there = planted(tmp_path, b"some bytes", "elsewhere/long name.jpg")
    plant(tmp_path, "photos/b.jpg")
    (tmp_path / "photos/link.jpg").symlink_to(there)

    link = found(tmp_path / "photos")[1]

    assert (link.relative, link.size) == ("link.jpg", len(b"some bytes"))


def test_pipes_sockets_and_devices_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, "real.jpg")
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.jpg")
    Path("device.jpg").symlink_to(os.devnull)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        assert mirrored(found(tmp_path)) == ["real.jpg"]


@pytest.mark.parametrize("spelling", ["photos/out", "photos/./out", "photos/sub/../out", "link"])
def test_output_folder_below_a_source_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    plant(tmp_path, "photos/a.jpg", "photos/out/a.jpg", "photos/out/deep/b.jpg", "photos/sub/c.jpg")
    (tmp_path / "link").symlink_to("photos/out")
    monkeypatch.chdir(tmp_path)

    assert mirrored(found("photos", output=spelling)) == ["a.jpg", "sub/c.jpg"]


def test_output_folder_that_is_the_source_is_still_scanned(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg")

    assert mirrored(found(tmp_path, output=tmp_path)) == ["a.jpg"]


TREE = ("IMG_1.JPG", "a.png", "sub/IMG_2.jpg", "sub/deep/c.png", "[x].jpg")


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["*.jpg"], [], ["IMG_1.JPG", "[x].jpg", "sub/IMG_2.jpg"]),
        (["img_?.*"], [], ["IMG_1.JPG"]),
        (["sub/*"], [], ["sub/IMG_2.jpg", "sub/deep/c.png"]),
        (["SUB/*.PNG"], [], ["sub/deep/c.png"]),
        (["a.png", "*/c.png"], [], ["a.png", "sub/deep/c.png"]),
        ([], ["*.png"], ["IMG_1.JPG", "[x].jpg", "sub/IMG_2.jpg"]),
        ([], ["sub/*", "A.PNG"], ["IMG_1.JPG", "[x].jpg"]),
        (["*.jpg"], ["sub/*"], ["IMG_1.JPG", "[x].jpg"]),
        (["[[]x].jpg"], [], ["[x].jpg"]),
        (["img_[12].jpg"], [], ["IMG_1.JPG"]),
        (["jpg"], [], []),
        ([""], [], []),
    ],
)
def test_globs_match_the_path_below_the_folder_case_insensitively(
    tmp_path: Path, include: list[str], exclude: list[str], expected: list[str]
) -> None:
    # The folder's own name must not count.
    folder = plant(tmp_path / "sub.jpg", *TREE)
    selection = Selection(include=tuple(include), exclude=tuple(exclude))

    assert mirrored(found(folder, selection=selection)) == expected


def test_globs_apply_to_named_files_too(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg", "b.png")

    taken = found(tmp_path / "a.jpg", tmp_path / "b.png", selection=Selection(exclude=("*.PNG",)))

    assert mirrored(taken) == ["a.jpg"]


def test_named_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    plant(tmp_path, "scan.xyz", ".hidden")

    assert mirrored(found(tmp_path / "scan.xyz")) == ["scan.xyz"]
    assert mirrored(found(listed=[tmp_path / ".hidden"])) == [".hidden"]


def test_missing_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file or folder '.*gone\.jpg'"):
        found(tmp_path, tmp_path / "gone.jpg")


def test_named_pipe_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")

    with pytest.raises(UsageError, match=r"pipe\.jpg' is neither a file nor a folder"):
        found(tmp_path / "pipe.jpg")


@pytest.mark.parametrize("name", ["gone.jpg", "no/such/folder/a.jpg", "a.jpg\0b.jpg", "a\0b/c"])
def test_missing_file_in_a_list_still_has_a_source(tmp_path: Path, name: str) -> None:
    there = planted(tmp_path, b"bytes")

    sources = found(listed=[there, tmp_path / name])

    assert [(source.path, source.size) for source in sources] == [
        (str(there), len(b"bytes")),
        (str(tmp_path / name), 0),
    ]


def test_folder_in_a_list_is_walked(tmp_path: Path) -> None:
    plant(tmp_path, "photos/a.jpg", "photos/sub/b.jpg", "photos/notes.txt")

    assert mirrored(found(listed=[tmp_path / "photos"])) == ["a.jpg", "sub/b.jpg"]


@pytest.mark.parametrize("ending", ["", "/", "/."])
def test_several_folders_are_mirrored_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    plant(tmp_path, "x/one/a.jpg", "x/one/sub/b.jpg", "y/two/a.jpg")
    monkeypatch.chdir(tmp_path)

    sources = found("x/one" + ending, "y/two" + ending)

    assert mirrored(sources) == ["one/a.jpg", "one/sub/b.jpg", "two/a.jpg"]
    assert [source.relative for source in sources] == ["a.jpg", "sub/b.jpg", "a.jpg"]


def test_folder_given_with_a_file_is_mirrored_by_name(tmp_path: Path) -> None:
    plant(tmp_path, "photos/a.jpg", "single.jpg")

    assert mirrored(found(tmp_path / "photos", tmp_path / "single.jpg")) == [
        "photos/a.jpg",
        "single.jpg",
    ]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["x/1.jpg"], ["1.jpg"]),
        (["x/1.jpg", "x/sub/2.jpg"], ["1.jpg", "sub/2.jpg"]),
        (["x/sub/2.jpg", "y/3.jpg"], ["x/sub/2.jpg", "y/3.jpg"]),
        (["0.jpg", "x/1.jpg"], ["0.jpg", "x/1.jpg"]),
        # The folder that these share cannot be found from the paths as the user writes them.
        (["x/../0.jpg", "x/sub/2.jpg"], ["0.jpg", "2.jpg"]),
    ],
)
def test_named_files_are_mirrored_below_their_common_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: list[str], expected: list[str]
) -> None:
    plant(tmp_path, "0.jpg", "x/1.jpg", "x/sub/2.jpg", "y/3.jpg")
    monkeypatch.chdir(tmp_path)

    for sources in (found(*paths), found(listed=paths)):
        assert mirrored(sources) == expected
        assert [source.path for source in sources] == paths


def test_absolute_and_relative_names_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "x/1.jpg", "y/3.jpg")
    monkeypatch.chdir(tmp_path)

    sources = found("x/1.jpg", tmp_path / "y/3.jpg")

    assert mirrored(sources) == ["1.jpg", "3.jpg"]
    assert [source.path for source in sources] == ["x/1.jpg", str(tmp_path / "y/3.jpg")]


def test_names_that_are_not_utf8_survive(tmp_path: Path) -> None:
    name = b"caf\xe9 \xff\n.jpg"
    folder = os.fsencode(tmp_path / "photos")
    os.mkdir(folder)
    with open(folder + b"/" + name, "wb"):
        pass

    (walked,) = found(tmp_path / "photos")
    (named,) = found(os.fsdecode(folder + b"/" + name))

    assert os.fsencode(walked.path) == os.fsencode(named.path) == folder + b"/" + name
    assert os.fsencode(walked.mirrored) == os.fsencode(named.mirrored) == name


def test_no_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "photos/a.jpg", "photos/sub/b.jpg", "c.jpg", "d.jpg")

    def refuse(*arguments: Any, **options: Any) -> None:
        pytest.fail(f"opened {arguments[0]}")

    for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
        monkeypatch.setattr(module, name, refuse)
    sources = found(tmp_path / "photos", tmp_path / "c.jpg", listed=[tmp_path / "d.jpg"])
    monkeypatch.undo()

    assert len(sources) == 4


def test_first_source_is_yielded_before_the_rest_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, "a.jpg", "b/1.jpg", "c/2.jpg")
    listed = []
    real = os.scandir

    def noting(path: str) -> Any:
        listed.append(os.path.basename(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", noting)
    sources = scan([str(tmp_path)], EVERYTHING)

    assert next(sources).relative == "a.jpg"
    assert listed == [tmp_path.name]
    assert next(sources).relative == "b/1.jpg"
    assert listed == [tmp_path.name, "b"]


def test_unlistable_folder_becomes_a_source_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, "a.jpg", "closed/1.jpg", "open/2.jpg")
    real = os.scandir

    def guarded(path: str) -> Any:
        # Root, who often runs tests, may list every folder.
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", guarded)
    sources = found(tmp_path)

    assert mirrored(sources) == ["a.jpg", "closed", "open/2.jpg"]
    assert sources[1].path == str(tmp_path / "closed")
