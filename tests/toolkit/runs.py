"""Runs over pictures of one colour, and their results."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imgbatch.model import Result
from imgbatch.recipes.recipe import Recipe
from imgbatch.running.batch import prepare
from imgbatch.running.settings import Settings
from imgbatch.store import worker_log
from imgbatch.store.journal import NAME
from toolkit.pictures import saved, scene

SMALLER = Recipe.from_options(sizes=["30"])
JOURNAL = Path(worker_log.FOLDER) / NAME


def picture(file: Path, shade: int = 0, format_name: str = "BMP") -> Path:
    """A BMP, whose size in bytes does not depend on its colour."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(saved((scene(60, 40) // 2 + shade).astype("uint8"), format_name))
    return file


def rewrite(file: Path, data: bytes) -> None:
    """As `exiftool -P` and `rsync --times` do: a new file with the old time."""
    before = file.stat()
    beside = file.with_name("rewritten")
    beside.write_bytes(data)
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    beside.replace(file)


def in_place(folder: Path, recipe: Recipe = SMALLER, **options: Any) -> dict[str, str]:
    settings = Settings((str(folder),), jobs=1, in_place=True, **options)
    with prepare(recipe, settings) as batch:
        batch.plan.check()
        batch.begin()
        return outcomes([*batch.plan.skipped, *batch.results()])


def outcomes(results: Iterator[Result] | list[Result]) -> dict[str, str]:
    return {
        one.source.relative: one.reason or (one.failure.message if one.failure else one.status)
        for one in results
    }


def copy_tree(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("copy"), copy_function=shutil.copy2)
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)
