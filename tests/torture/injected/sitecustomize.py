"""Makes the operation `fault` known to the command under test and to all its processes.

This folder comes first on PYTHONPATH, so that Python imports this module before anything else. With
the environment variable of `deeds.BROKEN` the operation is a plugin that works in the command's own
process and fails in all others:

- "missing": it does not exist, so a reference to it cannot be unpickled
- "raising": it raises when it is unpickled
- "ending": it ends the process when it is unpickled
- "closed": the server that workers are forked from does not even start
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

sys.path.append(str(Path(__file__).parents[2]))

from torture import deeds, holding

from imgbatch.imaging.picture import Picture
from imgbatch.operations.base import Operation, parameters_of, register

BROKEN = os.environ.get(deeds.BROKEN)
IN_THE_COMMAND = sys.orig_argv[1:3] == ["-m", "imgbatch"]


def loaded(kind: type[Operation], values: tuple[Any, ...]) -> Operation:
    """What a pickled operation is unpickled to."""
    if BROKEN == "raising" and not IN_THE_COMMAND:
        raise RuntimeError("this plugin is broken")
    if BROKEN == "ending" and not IN_THE_COMMAND:
        os._exit(1)
    return kind(*values)


if BROKEN == "closed" and "forkserver" in " ".join(sys.orig_argv):
    os._exit(1)

if BROKEN != "missing" or IN_THE_COMMAND:

    @register
    @dataclass(frozen=True, slots=True)
    class Fault(Operation):
        """Does to its process what the picture's width says; the pixels are unchanged."""

        name: ClassVar[str] = "fault"

        def apply(self, picture: Picture) -> Picture:
            return deeds.carry_out(picture)

        def __reduce__(self) -> tuple[Any, ...]:
            return loaded, (Fault, tuple(getattr(self, key) for key in parameters_of(Fault)))


if os.environ.get(holding.ROLE) == "worker" and "forkserver" in " ".join(sys.orig_argv):
    holding.hold_workers()
