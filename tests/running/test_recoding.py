"""A file that another format can hold whole is recoded, if its pixels and metadata stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from toolkit.folders import planted
from toolkit.pictures import exif_block, opened, saved, scene, stored, with_metadata

import imgbatch
from imgbatch.imaging import formats
from imgbatch.imaging.codecs.base import Codec
from imgbatch.imaging.formats import Format
from imgbatch.model import Encoding, Written

JPEG: Final = saved(scene(60, 40), "JPEG", quality=70)
HELD: Final = b"held whole: "


@pytest.fixture(autouse=True)
def webp_holds_jpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a WebP could hold a JPEG (behind its end, where Pillow does not look)."""

    def recoded(codec: Codec, data: bytes, source: Format, encoding: Encoding) -> bytes | None:
        assert source.name == "jpeg"
        return saved(opened(data), "WEBP") + HELD + data if encoding.lossless else None

    def original(codec: Codec, data: bytes, target: Format) -> bytes | None:
        assert target.name == "jpeg"
        return data.partition(HELD)[2] or None

    webp = type(formats.codec(formats.BY_NAME["webp"]))
    monkeypatch.setattr(webp, "recodes", frozenset({"jpeg"}))
    monkeypatch.setattr(webp, "recoded", recoded)
    monkeypatch.setattr(webp, "original", original)


def only(data: bytes, folder: Path, name: str = "a.jpg", **words: Any) -> tuple[Written, bytes]:
    """Run one file, and return what was written and its bytes."""
    recipe = imgbatch.Recipe.from_options(**words)
    (result,) = imgbatch.run(recipe, [planted(folder, data, name)], output=folder / "out", jobs=1)
    assert result.failure is None
    (written,) = result.written
    return written, Path(written.path).read_bytes()


@pytest.mark.parametrize("asked", [{}, {"sizes": ["2048"]}, {"effort": 9}])
def test_unchanged_picture_is_recoded_and_turned_back(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    written, data = only(JPEG, tmp_path, format="webp", lossless=True, **asked)
    assert data.endswith(HELD + JPEG)
    assert (written.copied, written.width, written.height) == (False, 60, 40)
    sizes = asked.get("sizes", ())
    written, back = only(
        data, tmp_path / "back", "a.webp", format="jpeg", max_bytes=len(JPEG), sizes=sizes
    )
    assert back == JPEG
    assert not written.copied


ASKED: Final[dict[str, dict[str, Any]]] = {
    "not lossless": {"lossless": False},
    "smaller": {"sizes": ["30"]},
    "filter": {"filters": ["gamma"]},
    "less metadata": {"metadata": "no-gps"},
    "artist": {"artist": "Ada"},
}


@pytest.mark.parametrize("asked", ASKED)
def test_changed_picture_is_encoded(tmp_path: Path, asked: str) -> None:
    words: dict[str, Any] = {"format": "webp", "lossless": True, **ASKED[asked]}
    _, data = only(JPEG, tmp_path, **words)
    assert HELD not in data
    assert opened(data).format == "WEBP"


@pytest.mark.parametrize(
    "asked",
    [
        {"quality": 70},
        {"effort": 9},
        {"sizes": ["30"]},
        {"copyright": "Ada"},
        {"max_bytes": len(JPEG) - 1},
    ],
)
def test_original_is_not_what_other_settings_ask_for(tmp_path: Path, asked: dict[str, Any]) -> None:
    webp = saved(opened(JPEG), "WEBP") + HELD + JPEG
    _, data = only(webp, tmp_path, "a.webp", format="jpeg", **asked)
    assert data != JPEG
    assert opened(data).format == "JPEG"


@pytest.mark.parametrize("asked", [{}, {"sizes": ["2048"]}])
def test_picture_on_its_side_is_recoded(tmp_path: Path, asked: dict[str, Any]) -> None:
    block = exif_block(orientation=6).block
    turned = with_metadata(stored(scene(60, 40), 6), "JPEG", exif=block)
    written, data = only(turned, tmp_path, format="webp", lossless=True, **asked)
    assert data.endswith(HELD + turned)
    # As it is shown.
    assert (written.width, written.height) == (60, 40)


def test_picture_that_is_turned_another_way_is_encoded(tmp_path: Path) -> None:
    for words in ("rotate:angle=90", "flip"):
        _, data = only(JPEG, tmp_path / words[:4], format="webp", lossless=True, filters=[words])
        assert HELD not in data


def test_frame_of_an_animation_is_encoded(tmp_path: Path) -> None:
    moving = saved(scene(60, 40), "WEBP", save_all=True, append_images=[Image.new("RGB", (60, 40))])
    _, data = only(moving + HELD + JPEG, tmp_path, "a.webp", format="jpeg")
    assert data != JPEG


def test_broken_metadata_are_repaired_instead(tmp_path: Path) -> None:
    broken = saved(scene(60, 40), "JPEG", icc_profile=b"no profile")
    _, data = only(broken, tmp_path, format="webp", lossless=True)
    assert HELD not in data


def test_format_that_holds_none_is_encoded(tmp_path: Path) -> None:
    _, data = only(saved(scene(60, 40), "PNG"), tmp_path, "a.png", format="webp", lossless=True)
    assert HELD not in data
    _, data = only(saved(scene(60, 40), "WEBP"), tmp_path / "b", "a.webp", format="jpeg")
    assert opened(data).format == "JPEG"
