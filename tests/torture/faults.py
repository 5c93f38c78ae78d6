"""Faults in calls that change files: a name for each, and which there are."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from torture.scenes import SCENES, Role, Shape, Stage
from torture.tracing import WRITING, Call

KILL: Final = "KILL"
"""The process is killed as it makes the call, which has no effect."""
SHORT: Final = "SHORT"
"""No file of the process may grow beyond half of what this call writes.

The kernel itself then writes half and refuses the rest. strace could only lie that less was
written, without writing it.
"""

_ERRORS: Final = ("EIO", "ENOSPC", "EACCES", "EINTR", KILL)
# Errors of file systems that lack a feature, where the command has a fallback.
_MISSING: Final = {
    "linkat": ("EPERM", "EXDEV"),
    "link": ("EPERM", "EXDEV"),
    "setxattr": ("EOPNOTSUPP",),
    "chown": ("EPERM",),
}
_NO_NAMELESS: Final = "EOPNOTSUPP"


@dataclass(frozen=True)
class Fault:
    """The `index`-th call named `name`, of those that change files, fails with `error`.

    It is made by the thread `role` in the scene and the shape.
    """

    name: str
    index: int
    error: str
    scene: str
    shape: Shape
    role: Role

    def __str__(self) -> str:
        return f"{self.name}:{self.index}:{self.error}:{self.scene}-{self.shape}-{self.role}"

    @classmethod
    def parsed(cls, text: str) -> Fault:
        """Parse a fault from its text. Raises ValueError."""
        name, index, error, where = text.split(":")
        scene, shape, role = where.split("-")
        if scene not in SCENES:
            raise ValueError(f"there is no scene {scene}")
        for known, roles in SCENES[scene].roles.items():
            for its_role in roles:
                if (shape, role) == (known, its_role):
                    return cls(name, int(index), error, scene, known, its_role)
        raise ValueError(f"{where} is nowhere")


def possible(stage: Stage, role: Role, made: list[Call]) -> Iterator[Fault]:
    counts: dict[str, int] = {}
    lacking = stage.scene.lacking[0] if stage.scene.lacking else ()
    for call in made:
        if call.name in lacking:
            continue
        counts[call.name] = index = counts.get(call.name, 0) + 1
        for error in _errors(call):
            yield Fault(call.name, index, error, stage.scene.name, stage.shape, role)


def _errors(call: Call) -> Iterator[str]:
    yield from _ERRORS
    yield from _MISSING.get(call.name, ())
    if call.is_nameless:
        yield _NO_NAMELESS
    if call.name in WRITING and call.end - call.start > 1:
        yield SHORT


def spread(found: list[Fault], count: int, chance: random.Random) -> list[Fault]:
    """A sample of this many, of all kinds and from all over."""
    left = chance.sample(found, len(found))
    used: Counter[tuple[str, ...]] = Counter()
    chosen: list[Fault] = []
    while left and len(chosen) < count:
        rarest = min(left, key=lambda fault: sum(used[kind] for kind in _kinds(fault)))
        left.remove(rarest)
        used.update(_kinds(rarest))
        chosen.append(rarest)
    return chosen


def _kinds(fault: Fault) -> tuple[tuple[str, ...], ...]:
    return (fault.name, fault.error), (fault.name, fault.role), (fault.error, fault.role)
