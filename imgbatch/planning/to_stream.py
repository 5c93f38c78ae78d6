"""The policy for a picture that goes to a stream: nothing is there before, and nothing stays."""

from __future__ import annotations

from imgbatch.model import STREAM, Source, Target
from imgbatch.planning.numbering import Facts
from imgbatch.planning.plan import Decision, Make, Policy, is_unlisted_folder
from imgbatch.recipes.recipe import Recipe


class ToStream(Policy):
    """The one output of `recipe` goes to a stream."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, "")
        (self._output,) = recipe.outputs

    def decide(self, source: Source, seq: int, facts: Facts | None) -> Decision:
        """A target for the source."""
        if is_unlisted_folder(source):
            return Make()
        return Make((Target(self._output.name, "", STREAM),))

    def finish(self) -> None:
        """There is nothing left to decide."""
