"""Targas with runs of pixels that end where they like."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray
from toolkit.decoding import decoded, failure

WIDTH, HEIGHT = 12, 10
FROM_TOP: Final = 0x20
# Image types (2.0, field 3): with a colour map, colours, grey.
MAPPED, COLOURS, GREY = 9, 10, 11
TABLE: Final = np.random.default_rng(2).integers(0, 256, (256, 3)).astype(np.uint8)


def pixels_of(channels: int) -> NDArray[np.uint8]:
    """Runs of 1 to 30 pixels, whatever the rows."""
    random = np.random.default_rng(channels)
    flat = np.repeat(random.integers(0, 256, (40, channels)), random.integers(1, 30, 40), axis=0)
    return flat[: WIDTH * HEIGHT].astype(np.uint8).reshape(HEIGHT, WIDTH, channels)


def packed(flat: NDArray[np.uint8]) -> bytes:
    """Packets of equal pixels, and of up to 3 others."""
    out, at = b"", 0
    while at < len(flat):
        run = 1
        while at + run < len(flat) and run < 128 and (flat[at + run] == flat[at]).all():
            run += 1
        if run > 1:
            out += bytes([0x7F + run]) + flat[at].tobytes()
        else:
            run = min(3, len(flat) - at)
            out += bytes([run - 1]) + flat[at : at + run].tobytes()
        at += run
    return out


def targa(kind: int, stored: NDArray[np.uint8], *, from_top: bool) -> bytes:
    rows = stored if from_top else stored[::-1]
    channels = stored.shape[2]
    colour_map = struct.pack("<HHB", 0, 256, 24) if kind == MAPPED else bytes(5)
    attributes = (FROM_TOP if from_top else 0) | (8 if channels == 4 else 0)
    head = bytes([0, int(kind == MAPPED), kind]) + colour_map
    head += struct.pack("<HHHHBB", 0, 0, WIDTH, HEIGHT, 8 * channels, attributes)
    table = TABLE[:, ::-1].tobytes() if kind == MAPPED else b""
    return head + table + packed(rows.reshape(-1, channels))


@pytest.mark.parametrize("from_top", [False, True], ids=["from the bottom", "from the top"])
@pytest.mark.parametrize(("kind", "channels"), [(GREY, 1), (MAPPED, 1), (COLOURS, 3), (COLOURS, 4)])
def test_runs_may_go_on_in_the_next_row(
    tmp_path: Path, kind: int, channels: int, from_top: bool
) -> None:
    shown = pixels_of(channels)
    # Blue comes first.
    stored = shown[..., [2, 1, 0, 3][:channels]] if channels > 1 else shown
    picture = decoded(tmp_path, targa(kind, stored, from_top=from_top), "photo.tga")
    wanted = TABLE[shown[..., 0]] if kind == MAPPED else shown.squeeze()
    assert np.array_equal(np.asarray(picture.image), wanted)


def test_missing_runs_are_told(tmp_path: Path) -> None:
    data = targa(COLOURS, pixels_of(3), from_top=True)
    assert failure(tmp_path, data[:-5], "photo.tga").failure.kind in ("truncated", "broken")
