"""Results for several processes of pytest-xdist: the first that needs one makes it."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

Made = TypeVar("Made")


def folder_of(name: str, factory: pytest.TempPathFactory) -> Path:
    """A folder that is the same in every process of this test run."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / f"shared-{name}"
    folder.mkdir(exist_ok=True)
    return folder


def made_once(folder: Path, make: Callable[[Path], Made]) -> Made:
    """What `make` returns for a place in this folder: it is called once, others wait for it.

    If it raises, the next process tries again.
    """
    pickled = folder / "result"
    with open(folder / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not pickled.exists():
            place = folder / f"place-{os.getpid()}"
            place.mkdir()
            pickled.write_bytes(pickle.dumps(make(place)))
    made: Made = pickle.loads(pickled.read_bytes())
    return made
