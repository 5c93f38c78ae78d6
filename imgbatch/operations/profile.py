"""Conversion to a colour profile. It is an option of its own (`--profile`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from imgbatch.imaging.picture import Picture, in_colours
from imgbatch.model import Intent
from imgbatch.operations.base import Operation


@dataclass(frozen=True, slots=True)
class ConvertProfile(Operation):
    """Convert to the profile `icc` and attach it; None is sRGB, or for grey its curve.

    A picture that is already sRGB keeps its pixels and its own profile.
    """

    name: ClassVar[str] = "profile"
    pixelwise: ClassVar[bool] = True
    memory: ClassVar[float] = 8.5

    icc: bytes | None = None
    intent: Intent = "relative"
    path: str = field(default="srgb", compare=False)
    """What the profile is called in a recipe: its name, or its file."""

    def output_mode(self, mode: str) -> str:
        """Grey in the curve of sRGB stays grey."""
        return mode if self.icc is None else in_colours(mode)

    def apply(self, picture: Picture) -> Picture:
        from imgbatch.imaging import colour

        if self.icc is not None:
            if picture.icc == self.icc:
                return picture
            return colour.convert(picture, self.icc, self.intent)
        if picture.mode != "CMYK" and (picture.icc is None or colour.is_srgb(picture.icc)):
            return picture
        if picture.icc is None:
            return colour.to_srgb(picture)
        return colour.convert(picture, colour.srgb_profile_for(picture.mode), self.intent)
