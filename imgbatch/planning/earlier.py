"""What is remembered of outputs that need not be made again."""

from __future__ import annotations

import os
from collections.abc import Sequence

from imgbatch.model import Earlier, joined
from imgbatch.planning.plan import Lookup
from imgbatch.store import about


class EarlierOutputs:
    """The outputs below the folder `output` that a source has, `names` in the recipe's order."""

    def __init__(self, output: str, names: Sequence[str], lookup: Lookup) -> None:
        self._output = output
        self._names = names
        self._lookup = lookup

    def __call__(self, relatives: Sequence[str]) -> list[Earlier]:
        """Those that more is known of than their paths, by the paths of all, in their order."""
        found = []
        for name, relative in zip(self._names, relatives, strict=True):
            made = self._lookup(relative)
            if made is None:
                continue
            place = os.fsdecode(made.path) if made.path is not None else relative
            earlier = about.earlier(made, name, joined(self._output, place))
            if earlier is not None:
                found.append(earlier)
        return found
