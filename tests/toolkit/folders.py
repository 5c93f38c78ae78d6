"""Fill folders, and read what is in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from toolkit.pictures import saved, scene

SMALL: Final = saved(scene(60, 40), "JPEG")


def plant(folder: Path, *names: str | bytes, data: bytes = SMALL) -> Path:
    """Write files with these names, creating folders; return the folder."""
    for name in names:
        file = folder / os.fsdecode(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder


def planted(folder: Path, data: bytes, name: str = "a.jpg") -> Path:
    return plant(folder, name, data=data) / name


def files(folder: Path) -> list[str]:
    """The sorted names of the files below, without imgbatch's own.

    A missing folder has none.
    """
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".imgbatch" not in path.relative_to(folder).parts
    )


def tree(folder: Path) -> dict[str, bytes]:
    """The content of those files."""
    return {name: (folder / name).read_bytes() for name in files(folder)}


def dated_tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """The same, each with its modification time."""
    return {
        name: ((folder / name).lstat().st_mtime_ns, data) for name, data in tree(folder).items()
    }
