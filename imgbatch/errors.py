"""What can go wrong, and the exit code each kind ends the command with.

    ImgbatchError                 1
    ├── UsageError                2   an option, an operation or a size that makes no sense
    │   └── PlanError             2   targets that collide or would overwrite something
    ├── NothingFoundError         3   no image below the given paths
    ├── WorkersError              1   the worker processes cannot be started
    └── PictureError              1   one file cannot be made; in a run it becomes a Failure

A message is for the person who reads it: what failed, on which file, what to do about it.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from imgbatch.model import Stage


class ImgbatchError(Exception):
    """The root of all errors that imgbatch raises on purpose."""

    exit_code: ClassVar[int] = 1
    category: ClassVar[str] = "error"
    """What reports call it."""


class UsageError(ImgbatchError):
    """What the user asked for cannot be done as asked; nothing was written."""

    exit_code = 2
    category = "usage"


class PlanError(UsageError):
    """Targets collide, leave the output folder, or would overwrite a file."""

    category = "plan"


class NothingFoundError(ImgbatchError):
    """There is no image below the given paths."""

    exit_code = 3
    category = "nothing-found"


class WorkersError(ImgbatchError):
    """Worker processes cannot be started, or die before they take any work."""

    category = "workers"


class PictureError(ImgbatchError):
    """One picture cannot be made. `failure` says why; so do `stage`, `kind` and `message`."""

    def __init__(self, stage: Stage, kind: str, message: str) -> None:
        # Loaded where pictures are made: `--version` does without.
        from imgbatch.model import Failure

        super().__init__(stage, kind, message)
        self.failure = Failure(stage, kind, message)

    @property
    def stage(self) -> Stage:
        """Where it failed: "open", "decode", "operate", "encode" or "write"."""
        return self.failure.stage

    @property
    def kind(self) -> str:
        """What failed, such as "truncated" or "not-found"."""
        return self.failure.kind

    @property
    def message(self) -> str:
        """Why, for people."""
        return self.failure.message

    def __str__(self) -> str:
        return self.failure.message


MORE_MEMORY: Final = "use fewer --jobs, or set --memory to what there really is"
"""What to do when memory is short."""

# What codecs and the system's loader say; not libheif's own limits, which hostile files reach.
_SHORT_OF_MEMORY: Final = re.compile(
    r"out of memory|(?:cannot|unable to|fail\w* to) allocat|(?:not enough|insufficient) memory"
    r"|memory allocation|allocat\w+ \w+ bytes|allocation fail|bad_alloc|failed to map segment"
    r"|cannot allocate memory in static TLS",
    re.IGNORECASE,
)
_LIMIT_OF_A_LIBRARY: Final = "security limit"


def is_short_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that caused it, says that there was not enough memory."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        text = str(error)
        if (
            isinstance(error, MemoryError)
            or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
            or (_SHORT_OF_MEMORY.search(text) and _LIMIT_OF_A_LIBRARY not in text.lower())
        ):
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def raise_if_short_of_memory(error: BaseException) -> None:
    """Raise MemoryError for an error that stems from a lack of memory, whatever it is called."""
    if is_short_of_memory(error):
        raise MemoryError from error
