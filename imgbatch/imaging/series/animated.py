"""Writing animations: what all formats need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any

from PIL import Image


def alike(images: Sequence[Image.Image]) -> list[Image.Image]:
    """All in one mode, the simplest that holds them."""
    modes = {image.mode for image in images}
    if len(modes) == 1:
        return list(images)
    grey = modes <= {"L", "LA"}
    alpha = any(mode.endswith("A") for mode in modes)
    mode = ("L" if grey else "RGB") + ("A" if alpha else "")
    return [image if image.mode == mode else image.convert(mode) for image in images]


def saved(
    images: Sequence[Image.Image],
    durations: Iterable[float],
    pillow: str,
    options: Mapping[str, Any],
) -> bytes:
    """An animation from Pillow's encoder for the format `pillow`; durations in milliseconds."""
    buffer = BytesIO()
    images[0].save(
        buffer,
        pillow,
        save_all=True,
        append_images=list(images[1:]),
        duration=whole_milliseconds(durations),
        **options,
    )
    return buffer.getvalue()


def whole_milliseconds(durations: Iterable[float]) -> list[int]:
    """Whole milliseconds, rounded so that their sum stays right."""
    wanted, written = 0.0, 0
    result = []
    for duration in durations:
        wanted += duration
        result.append(round(wanted) - written)
        written += result[-1]
    return result
