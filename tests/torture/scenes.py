"""Small jobs for faults: what is there before, the command, and what there is to be afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import filemode
from typing import Final, Literal

from arena import Ended, Tree, alive_after, files, plant, tree
from forks import Forks
from pictures import saved, scene

Shape = Literal["serial", "pool"]
"""One file in the command's own process, or several in two workers."""
Role = Literal["main", "job", "worker"]
"""The command's own thread, the one of a job, or a worker."""

REPORT: Final = "report.jsonl"

_FILES: Final = {"serial": ("a.jpg",), "pool": ("a.jpg", "b.jpg", "c.jpg", "d.png")}
_FOREIGN: Final = {"foreign.txt": b"foreign" * 99, "sub/.precious": b"precious" * 99}


@dataclass(frozen=True)
class Scene:
    """A job by its words; `first` are those of a run before it, that belongs to what is there.

    `lacking` are calls that always fail, and how, as on a file system that does not know them.
    Only who publishes is of interest then.
    """

    name: str
    words: tuple[str, ...]
    first: tuple[str, ...] | None = None
    in_place: bool = False
    lacking: tuple[tuple[str, ...], str] | None = None

    @property
    def roles(self) -> dict[Shape, tuple[Role, ...]]:
        """Who changes files, by the shape."""
        if self.lacking:
            return {"serial": ("job",)}
        return {"serial": ("main", "job"), "pool": ("main", "worker")}


IN_PLACE: Final = ("-s", "50%", "--in-place", "--backup", "backup")
NO_LINKS: Final = (("link", "linkat"), "EPERM")

SCENES: Final = {
    one.name: one
    for one in (
        Scene("new", ("-s", "40", "--preserve-dates", "--name", "sub/{stem}{ext}", "-o", "out")),
        Scene("remake", ("-s", "30", "-o", "out"), ("-s", "40", "-o", "out")),
        Scene("two", ("-s", "40", "-s", "thumb=x20", "-o", "out")),
        Scene("place", IN_PLACE, in_place=True),
        Scene("nolinks", ("-s", "40", "-s", "thumb=x20", "-o", "out"), lacking=NO_LINKS),
        Scene("nolinksplace", IN_PLACE, in_place=True, lacking=NO_LINKS),
    )
}


class Stage:
    """A folder where a scene is set up, played, and set up again.

    It is always the same folder, since a journal knows sources by their absolute paths. `before`
    and `after` are what files hold before the command, and after one that nobody disturbs;
    `targets` are the names of each source's outputs, `names` are of all files, hidden ones, too.
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
        shutil.copytree(self.place, self._pristine, dirs_exist_ok=True)
        ended = self.play()
        assert ended.code == 0, ended.said
        self.after = self.tree()
        self.names = set(files(self.place))
        self.attributes = self.attributes_of(self.after)
        self.targets = {
            source: [output["path"] for output in row["outputs"]]
            for source, row in ended.rows.items()
        }

    def _plant(self) -> None:
        photos = self.place / "photos"
        for number, name in enumerate(_FILES[self.shape]):
            kind = "PNG" if name.endswith(".png") else "JPEG"
            path = plant(photos, name, saved(scene(64 + number, 48), kind))
            path.chmod(0o600 if number == 0 else 0o644)
            with suppress(OSError):
                os.setxattr(path, "user.note", b"precious")
        for name, data in _FOREIGN.items():
            if not self.scene.in_place:
                plant(self.place / "out", name, data)
        if self.scene.first is not None:
            ended = self._run(self.words(self.scene.first))
            assert ended.code == 0, ended.said

    def words(self, words: tuple[str, ...]) -> list[str]:
        """A command line; of one file, which needs no server, or of all, which two workers do."""
        source = f"photos/{_FILES['serial'][0]}" if self.shape == "serial" else "photos"
        return ["resize", source, *words, *(["--jobs", "2"] if self.shape == "pool" else [])]

    def set_up(self) -> None:
        """Let everything be as it was before the command."""
        shutil.rmtree(self.place)
        shutil.copytree(self._pristine, self.place)

    def play(
        self, environment: dict[str, str] | None = None, begun: Callable[[int], None] | None = None
    ) -> Ended:
        """Run the command."""
        (self.place / REPORT).unlink(missing_ok=True)
        return self._run(
            [*self.words(self.scene.words), "--report", REPORT], environment or {}, begun
        )

    def plan(self) -> Ended:
        """Let the command say what it would do."""
        return self._run([*self.words(self.scene.words), "--dry-run"])

    def tree(self) -> Tree:
        """What every visible file holds, but for the report."""
        found = tree(self.place)
        found.pop(REPORT, None)
        return found

    def attributes_of(self, names: Tree) -> dict[str, tuple[str, int]]:
        """Permissions of files, and their times if those are to be kept."""
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
        pid, code = self._forks.run(
            words, self.place, told, environment=environment, begun=begun or (lambda pid: None)
        )
        orphans = alive_after(pid)
        out, said = (told.with_suffix(end).read_text(errors="replace") for end in (".out", ".err"))
        return Ended(code, out, said, orphans, self.place / REPORT)
