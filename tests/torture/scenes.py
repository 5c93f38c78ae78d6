"""Small jobs for faults: the files before, the command, and the files expected afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from stat import filemode
from typing import Final, Literal

from toolkit.folders import planted
from toolkit.forked import Forks
from toolkit.pictures import saved, scene
from torture.arena import Ended, Tree, alive_after, all_files, visible

Shape = Literal["serial", "pool"]
"""One file in the command's own process, or several in two workers."""
Role = Literal["main", "job", "worker"]
"""The command's own thread, the one of a job, or a worker."""

Roles = Mapping[Shape, tuple[Role, ...]]

PATIENCE_SECONDS: Final = 60.0
REPORT: Final = "report.jsonl"

_FILES: Final = {"serial": ("a.jpg",), "pool": ("a.jpg", "b.jpg", "c.jpg", "d.png")}
_FOREIGN: Final = {"out/foreign.txt": b"foreign" * 99, "out/sub/.precious": b"precious" * 99}
_LEFT: Final = {
    "out/.imgbatch/0123abcd-1.log": b"",
    "out/sub/.imgbatch-0123abcd-0123456789ab.tmp": b"left" * 99,
}


_ALL: Final[Roles] = {"serial": ("main", "job"), "pool": ("main", "worker")}
_PUBLISHING: Final[Roles] = {"serial": ("job",), "pool": ("worker",)}


@dataclass(frozen=True)
class Scene:
    """A job by its command line; `first` are those of earlier runs.

    `there` are other existing files by name, and `roles` says which threads are of interest.
    `lacking` are calls that always fail, and how, as on a file system without them. With `lying`,
    JPEG files turn out to be PNG.
    """

    name: str
    words: tuple[str, ...]
    roles: Roles = field(default_factory=lambda: _ALL)
    first: tuple[str, ...] | None = None
    there: Mapping[str, bytes] = field(default_factory=lambda: _FOREIGN)
    lacking: tuple[tuple[str, ...], str] | None = None
    lying: bool = False

    @property
    def in_place(self) -> bool:
        """Whether originals are replaced."""
        return "--in-place" in self.words


_ONE: Final = ("-s", "40", "-o", "out")
_TWO: Final = ("-s", "40", "-s", "thumb=x20", "-o", "out")
_IN_PLACE: Final = ("-s", "50%", "--in-place", "--backup", "backup")
_NO_LINKS: Final = (("link", "linkat"), "EPERM")

SCENES: Final = {
    one.name: one
    for one in (
        Scene("new", (*_ONE, "--preserve-dates", "--name", "sub/{stem}{ext}")),
        Scene("remake", ("-s", "30", "-o", "out"), first=_ONE),
        Scene("two", _TWO),
        Scene("place", _IN_PLACE, there={}),
        # Names that are not settled before the picture is read.
        Scene("lying", _TWO, _PUBLISHING, lying=True),
        # Over foreign files.
        Scene(
            "overwrite",
            (*_ONE, "--on-conflict", "overwrite"),
            _PUBLISHING,
            there={**_FOREIGN, "out/a.jpg": b"overwritten" * 99},
        ),
        # After a run that was killed.
        Scene("dead", _ONE, {"serial": ("main",)}, there={**_FOREIGN, **_LEFT}),
        Scene("nolinks", _TWO, {"serial": ("job",)}, lacking=_NO_LINKS),
        Scene("nolinksplace", _IN_PLACE, {"serial": ("job",)}, there={}, lacking=_NO_LINKS),
    )
}


def lane(environment: Mapping[str, str]) -> Forks:
    """A process that forks commands whose threads can be held (`holding`)."""
    return Forks(environment, servers=False, entered="torture.holding:hold_by_role")


class Stage:
    """A folder where a scene is set up, played, and set up again.

    It is always the same folder, since a journal knows sources by their absolute paths. `before`
    and `after` are the contents of files before the command, and after an undisturbed one;
    `names_before` and `names` are the names of all files then, including hidden ones; `targets` are
    the outputs of each source.
    """

    def __init__(self, place: Path, forks: Forks, scene: Scene, shape: Shape) -> None:
        self.scene = scene
        self.shape = shape
        self.beside = place
        self.place = place / "arena"
        self._pristine = place / "pristine"
        self._told = place / "told"
        self._forks = forks
        for folder in (self.place, self._pristine, self._told):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self._plant()
        self.before = self.tree()
        self.names_before = self.all_names()
        shutil.copytree(self.place, self._pristine, dirs_exist_ok=True)
        ended = self.play()
        assert ended.code == 0, ended.said
        self.after = self.tree()
        self.names = self.all_names()
        self.attributes = self.attributes_of(self.after)
        self.targets = {
            source: [output["path"] for output in row["outputs"]]
            for source, row in ended.rows.items()
        }

    def _plant(self) -> None:
        photos = self.place / "photos"
        for number, name in enumerate(_FILES[self.shape]):
            kind = "PNG" if name.endswith(".png") or self.scene.lying else "JPEG"
            path = planted(photos, saved(scene(64 + number, 48), kind), name)
            path.chmod(0o600 if number == 0 else 0o644)
            with suppress(OSError):
                os.setxattr(path, "user.note", b"precious")
        for name, data in self.scene.there.items():
            planted(self.place, data, name)
        if self.scene.first is not None:
            ended = self._run(self.words(self.scene.first))
            assert ended.code == 0, ended.said

    def words(self, words: tuple[str, ...]) -> list[str]:
        """A command line for one file, which needs no server, or for all, with two workers."""
        source = f"photos/{_FILES['serial'][0]}" if self.shape == "serial" else "photos"
        return ["resize", source, *words, *(["--jobs", "2"] if self.shape == "pool" else [])]

    def set_up(self) -> None:
        """Restore the state before the command."""
        shutil.rmtree(self.place)
        shutil.copytree(self._pristine, self.place)

    def play(
        self, environment: dict[str, str] | None = None, begun: Callable[[int], None] | None = None
    ) -> Ended:
        (self.place / REPORT).unlink(missing_ok=True)
        return self._run(
            [*self.words(self.scene.words), "--report", REPORT], environment or {}, begun
        )

    def plan(self) -> Ended:
        """Run the command with --dry-run."""
        return self._run([*self.words(self.scene.words), "--dry-run"])

    def tree(self) -> Tree:
        """The contents of every visible file except the report."""
        found = visible(self.place)
        found.pop(REPORT, None)
        return found

    def all_names(self) -> set[str]:
        """The names of all files including hidden ones, except the report."""
        return set(all_files(self.place)) - {REPORT}

    def attributes_of(self, names: Tree) -> dict[str, tuple[str, int]]:
        """Permissions of files, and their times if those are to be preserved."""
        dated = "--preserve-dates" in self.scene.words
        stats = {name: (self.place / name).stat() for name in names}
        return {
            name: (filemode(stat.st_mode), stat.st_mtime_ns if dated else 0)
            for name, stat in stats.items()
        }

    def _run(
        self,
        words: list[str],
        environment: dict[str, str] | None = None,
        begun: Callable[[int], None] | None = None,
    ) -> Ended:
        told = self._told / "command"
        with (
            open(os.devnull, "rb") as nothing,
            told.with_suffix(".out").open("wb") as out_file,
            told.with_suffix(".err").open("wb") as error_file,
        ):
            pid, code = self._forks.run(
                words,
                self.place,
                [stream.fileno() for stream in (nothing, out_file, error_file)],
                environment={**self._forks.environment, **(environment or {})},
                timeout=PATIENCE_SECONDS,
                begun=begun or (lambda pid: None),
            )
        orphans = alive_after(pid)
        out, said = (told.with_suffix(end).read_text(errors="replace") for end in (".out", ".err"))
        return Ended(code, out, said, orphans, self.place / REPORT)
