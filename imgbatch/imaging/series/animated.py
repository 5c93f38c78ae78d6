"""Several frames as one file: an animation, or the pages of a TIFF."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import Any, Final

from PIL import Image, ImageChops

from imgbatch.imaging.containers import isobmff
from imgbatch.imaging.formats import Format
from imgbatch.imaging.series import apng

Options = dict[str, Any]
"""Keyword arguments of Pillow's `save`."""

_AVIF_SPEED: Final = 7
_MAX_PLAYS: Final = {"webp": 65_535, "png": 2**31 - 1}


def alike(images: Sequence[Image.Image]) -> list[Image.Image]:
    """All in one mode, the simplest that holds them."""
    modes = {image.mode for image in images}
    if len(modes) == 1:
        return list(images)
    grey = modes <= {"L", "LA"}
    alpha = any(mode.endswith("A") for mode in modes)
    mode = ("L" if grey else "RGB") + ("A" if alpha else "")
    return [image if image.mode == mode else image.convert(mode) for image in images]


def encode(
    images: Sequence[Image.Image],
    durations: Sequence[float],
    plays: int,
    row: Format,
    options: Options,
    *,
    dither: bool = True,
) -> bytes:
    """An animation of L, LA, RGB or RGBA images of one size and mode.

    Each is shown for its duration in milliseconds, all of them `plays` times, 0 for ever.
    `options` are those of a still; what they contain besides settings belongs to the whole. Raises
    whatever an encoder raises.
    """
    if row.name == "gif":
        from imgbatch.imaging.series import gif_frames

        return gif_frames.encode(
            images, durations, plays=plays, dither=dither, comment=_bytes(options.get("comment"))
        )
    if row.name == "png":
        return _png(images, durations, plays, options)
    if row.name == "avif":
        # Slower ones look ahead over 30 frames, for ten times as long and 30 bytes per pixel each.
        options = options | {"speed": max(_AVIF_SPEED, options.get("speed", 0))}
    buffer = BytesIO()
    images[0].save(
        buffer,
        row.pillow,
        save_all=True,
        append_images=list(images[1:]),
        duration=_whole(durations),
        loop=min(plays, _MAX_PLAYS.get(row.name, 0)),
        **options,
    )
    data = buffer.getvalue()
    return isobmff.with_plays(isobmff.without_times(data), plays) if row.name == "avif" else data


def _png(
    images: Sequence[Image.Image], durations: Sequence[float], plays: int, options: Options
) -> bytes:
    def frames() -> Iterator[apng.Frame]:
        bare = {key: value for key, value in options.items() if key == "compress_level"}
        before, pending = None, None
        for image, duration in zip(images, durations, strict=True):
            box: tuple[int, int, int, int] | None = (0, 0, *image.size)
            if before is not None:
                box = ImageChops.difference(image, before).getbbox(alpha_only=False)
            if box is None and pending is not None:
                pending = pending._replace(duration=pending.duration + duration)
                continue
            if pending is not None:
                yield pending
            buffer = BytesIO()
            image.crop(box).save(buffer, "PNG", **(bare if before is not None else options))
            pending = apng.Frame(box[:2] if box else (0, 0), buffer.getvalue(), duration)
            before = image
        if pending is not None:
            yield pending

    return apng.join(frames(), plays=min(plays, _MAX_PLAYS["png"]))


def _whole(durations: Iterable[float]) -> list[int]:
    """Whole milliseconds, rounded so that their sum stays right."""
    wanted, written = 0.0, 0
    result = []
    for duration in durations:
        wanted += duration
        result.append(round(wanted) - written)
        written += result[-1]
    return result


def _bytes(comment: str | bytes | None) -> bytes | None:
    return comment.encode("utf-8") if isinstance(comment, str) else comment
