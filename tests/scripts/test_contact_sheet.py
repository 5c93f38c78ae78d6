"""The thumbnails of `scripts/tool contact_sheet` show what is in the pictures, and nothing else."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from toolkit.pictures import saved
from toolkit.resampling import convolved
from tools.contact_sheet import CELL, thumbnail


def zone_plate(width: int, height: int) -> Image.Image:
    """Rings that become finer towards the edges, where they are two pixels wide."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    squared = (x - width / 2) ** 2 + (y - height / 2) ** 2
    rings = 127.5 + 120 * np.cos(np.pi * squared / max(width, height))
    return Image.fromarray(np.rint(rings).astype(np.uint8))


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("JPEG", "RGB", {"quality": 98, "subsampling": 0}),
        ("JPEG", "L", {"quality": 98}),
        ("PNG", "RGBA", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
    ],
)
def test_fine_detail_becomes_no_rings(form: str, mode: str, options: dict[str, int]) -> None:
    page = zone_plate(1500, 1000).convert(mode)
    with Image.open(BytesIO(saved(page, form, **options))) as image:
        exact = np.asarray(image.convert("L"), np.float64)[..., None]
        found = thumbnail(image).convert("L")
    assert found.size == (CELL, 220)
    expected = convolved(exact, found.size, "lanczos", (0, 0, 1500, 1000))[..., 0].clip(0, 255)
    off = np.abs(np.asarray(found) - expected)
    # Pillow clips overshoot between its two passes, which black next to white has much of.
    assert off.max() <= (20 if mode == "1" else 2.5)
    # Beyond what so few pixels can show there is plain grey.
    assert expected[:, :40].std() < 1.5 or mode == "1"
