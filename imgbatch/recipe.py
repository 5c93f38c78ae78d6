"""A Recipe as programs use it: with all that a recipe needs besides itself."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self, Unpack

from imgbatch.recipes import recipe as plain
from imgbatch.recipes.recipe import Output
from imgbatch.recipes.settings import OutputWords, PrepareWords
from imgbatch.running.settings import PictureWords

if TYPE_CHECKING:
    from imgbatch.running.one_picture import Given, Made

__all__ = ["Output", "Recipe"]


class Recipe(plain.Recipe):
    """What is made of every source: operations done once, then one or more outputs.

    `name` is the suffix of the default output folder (`photos-resized`). `prepare` are the
    operations done once; `raw_preview` uses the JPEG that a camera embeds in its raw files instead
    of developing them.
    """

    __slots__ = ()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The recipe in a TOML file, or the preset with that name.

        Raises UsageError with the key, what was found, and what was expected.
        """
        from imgbatch.recipes import toml

        return cls._of(toml.load(path))

    @classmethod
    def of(
        cls,
        outputs: Iterable[OutputWords | Output],
        name: str = "resized",
        **prepare: Unpack[PrepareWords],
    ) -> Self:
        """A recipe of several outputs, each with settings of its own.

        An output is a table as in a recipe file, with the names of `from_options`: `size`,
        `format`, `quality` and so on, `name`, and `operations`; or an Output. `prepare` is what is
        done once, before all outputs: `operations`, `profile`, `intent` and `raw_preview`. Raises
        UsageError.
        """
        from imgbatch.recipes import toml

        return cls._of(toml.of_tables(name, outputs, prepare))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a new TOML file, of which `load` gives an equal recipe.

        Raises UsageError if the file exists with other content, or if the recipe cannot be written
        in TOML.
        """
        from imgbatch.recipes import toml

        toml.save(self, path)

    def apply(self, source: Given, **words: Unpack[PictureWords]) -> list[Made]:
        """Make each output from one picture, in memory; the same bytes as a run makes of a file.

        `source` is a path, the bytes of a file, a binary file (read to its end), a Pillow image, or
        a NumPy array of uint8 or uint16: (height, width) or (height, width, channels), with grey,
        grey and alpha, RGB, or RGB and alpha. An image keeps its format if it has one; other pixels
        become a PNG where the recipe keeps the format. `salvage`, `strict`, `memory` and
        `max_pixels` are those of `run`.

        Nothing is written, and no process started. Any number of threads may call this at once.
        Raises PictureError if the picture cannot be made, PlanError if two outputs have one name,
        UsageError, TypeError or ValueError for arguments that make no sense.
        """
        from imgbatch.running import one_picture

        return one_picture.apply(self, source, **words)

    @classmethod
    def _of(cls, recipe: plain.Recipe) -> Self:
        return cls(recipe.name, recipe.outputs, recipe.prepare, recipe.raw_preview)
