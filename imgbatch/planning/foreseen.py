"""The names that a run will give, for those who only ask: the first bytes of sources tell them.

A run decodes its sources anyway, and settles a name when it knows the format. A suffix is rarely
wrong, so planning reads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from imgbatch.model import Job, Source, Target
from imgbatch.naming import folded
from imgbatch.planning.output_paths import found_format, settled


class Foreseen:
    """The targets of some jobs, as they will be settled."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = jobs
        self._taken: set[str] | None = None

    def settled(self, source: Source, target: Target) -> Target:
        """The target with the right suffix; the same one if it has that."""
        row = found_format(source) if target.any_suffix else None
        return settled(target, row) if row is not None else target

    def takes(self, target: Target) -> bool:
        """Take the name of a target whose suffix was wrong; False if another file has it."""
        if target.relative == target.standing:
            return True
        if self._taken is None:
            self._taken = {folded(one.path) for job in self._jobs for one in job.targets}
        if (name := folded(target.path)) in self._taken or os.path.lexists(target.path):
            return False
        self._taken.add(name)
        return True
