"""A file appears whole or not at all.

Data are written under a hidden temporary name in the target's own folder, then published in one
step. Without `replace` publishing never overwrites: `link` fails if the name exists, however
late it came to exist. Nothing is fsynced: an output can be made again.
"""

from __future__ import annotations

import errno
import filecmp
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

_PREFIX = ".imgbatch-"
_SUFFIX = ".tmp"
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})


def new_run() -> str:
    """A word that marks the temporary files of one run: `.imgbatch-<run>-<random>.tmp`."""
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that is written, but not yet visible under its name."""

    temporary: str
    target: str

    def publish(self, *, replace: bool) -> None:
        """Give the file its name.

        Raises FileExistsError if the name is taken and `replace` is false, unless by the very
        same bytes: a worker that died may have got this far already. Then, as on any other
        OSError, the temporary file is gone and what was there before is untouched.
        """
        try:
            if replace:
                os.replace(self.temporary, self.target)
                return
            try:
                _publish_exclusively(self.temporary, self.target)
            except FileExistsError:
                if not _same_bytes(self.temporary, self.target):
                    raise
                self.discard()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove the temporary file."""
        with suppress(FileNotFoundError):
            os.unlink(self.temporary)


def stage(target: str, data: bytes, run: str) -> Staged:
    """Write `data` beside `target` under a temporary name of `run`; make the folders above it.

    Permissions are what the umask gives. Raises OSError, and then leaves nothing.
    """
    folder = os.path.dirname(target) or "."
    temporary = os.path.join(folder, f"{_PREFIX}{run}-{secrets.token_hex(6)}{_SUFFIX}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(temporary, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        descriptor = os.open(temporary, flags, 0o666)
    staged = Staged(temporary, target)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        staged.discard()
        raise
    return staged


def sweep(folders: Iterable[str], run: str) -> None:
    """Remove what killed workers of `run` left in `folders`. None of them may still be alive."""
    for folder in folders:
        names: list[str] = []
        with suppress(OSError):
            names = os.listdir(folder or ".")
        for name in names:
            if name.startswith(f"{_PREFIX}{run}-") and name.endswith(_SUFFIX):
                with suppress(OSError):
                    os.unlink(os.path.join(folder, name))


def _same_bytes(one: str, other: str) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _publish_exclusively(temporary: str, target: str) -> None:
    try:
        os.link(temporary, target)
    except OSError as error:
        # FAT, some network shares and Android know no hard links, and say so in many ways.
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            os.replace(temporary, target)
        except OSError:
            os.unlink(target)
            raise
    else:
        os.unlink(temporary)
