"""What can go wrong, and the exit code each kind ends the command with.

    ImgbatchError                 1
    ├── UsageError                2   an option, an operation or a size that makes no sense
    │   └── PlanError             2   targets that collide or would overwrite something
    ├── NothingFoundError         3   no image below the given paths
    ├── WorkersError              1   the worker processes cannot be started
    └── PictureError              -   one file cannot be made: becomes a Failure, never leaves
                                      the worker

A message is for the person who reads it: what failed, on which file, what to do about it.
"""

from __future__ import annotations

from typing import ClassVar

from imgbatch.model import Failure, Stage


class ImgbatchError(Exception):
    """The root of all errors that imgbatch raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(ImgbatchError):
    """What the user asked for cannot be done as asked; nothing was written."""

    exit_code = 2


class PlanError(UsageError):
    """Targets collide, leave the output folder, or would overwrite a file."""


class NothingFoundError(ImgbatchError):
    """There is no image below the given paths."""

    exit_code = 3


class WorkersError(ImgbatchError):
    """Worker processes cannot be started, or die before they take any work."""


class PictureError(ImgbatchError):
    """One file cannot be made."""

    def __init__(self, stage: Stage, kind: str, message: str) -> None:
        super().__init__(stage, kind, message)
        self.failure = Failure(stage, kind, message)

    def __str__(self) -> str:
        return self.failure.message
