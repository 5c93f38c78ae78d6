"""Removes what is left over of earlier runs: outputs, and the folders that they leave empty."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from msgspec import Struct, field

from imgbatch.model import LeftOver, Source, joined
from imgbatch.planning.left_over import is_gone, real_name
from imgbatch.planning.ownership import absolute_paths
from imgbatch.planning.plan import Plan
from imgbatch.store import checksum, local_files


class Pruned(Struct):
    """What was removed, what was `changed` by somebody since and left, and what went wrong."""

    removed: list[LeftOver] = field(default_factory=list)
    changed: list[LeftOver] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def notices(self) -> list[str]:
        """What was not removed, in words."""
        notices = []
        if self.changed:
            more = f" (and {len(self.changed) - 1} more)" if len(self.changed) > 1 else ""
            notices.append(
                "not removed, because somebody has changed them since: "
                f"{self.changed[0].path}{more}"
            )
        if self.failures:
            more = f" (and {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
            notices.append(f"cannot remove {self.failures[0]}{more}")
        return notices


def removable(planned: Plan) -> Pruned:
    """What `prune` would remove."""
    found = Pruned()
    for one in planned.left_over:
        (found.removed if _is_as_made(one, planned.output) else found.changed).append(one)
    return found


def prune(planned: Plan, unfinished: Iterable[Source]) -> Pruned:
    """Remove what is left over, at the end of a run.

    Earlier outputs of `unfinished` sources stay: nothing has been made in their place.
    """
    found = Pruned()
    absolute = absolute_paths()
    needed = {real_name(os.fsdecode(absolute(source))) for source in unfinished}
    emptied: dict[str, str] = {}
    for one in planned.left_over:
        if real_name(one.source) in needed:
            continue
        if one.reason == "source-gone" and not is_gone(one.source):
            continue
        if not _is_as_made(one, planned.output):
            found.changed.append(one)
            continue
        try:
            os.unlink(one.path)
        except OSError as error:
            found.failures.append(f"{one.path}: {error.strerror}")
            continue
        found.removed.append(one)
        emptied[os.path.dirname(one.place)] = os.path.dirname(real_name(one.source))
    for folder, originals in emptied.items():
        _remove_empty(planned.output, folder, originals)
    return found


def _is_as_made(one: LeftOver, output: str) -> bool:
    """Whether the file is what was made, and still where: no link leads to its folder."""
    folder = os.path.dirname(joined(os.path.realpath(output), one.place))
    there = local_files.state(one.path)
    if there is None or there.size != one.state.size or os.path.realpath(folder) != folder:
        return False
    if one.state.ctime_ns and one.state.inode and there.equals(one.state):
        return True
    return one.hash is not None and checksum.matches(one.path, one.hash)


def _remove_empty(output: str, folder: str, originals: str) -> None:
    """Remove a folder below the output folder if it is empty, and those above it likewise.

    The folder of `originals` is the user's own, even if nothing is left there.
    """
    with suppress(OSError):
        while folder:
            path = os.path.join(output, *folder.split("/"))
            if os.path.join(originals, "").startswith(os.path.join(os.path.realpath(path), "")):
                return
            os.rmdir(path)
            folder = os.path.dirname(folder)
