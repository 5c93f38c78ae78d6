"""Pages of a TIFF, each taken out as a file of its own: the same pictures, in linear time."""

from __future__ import annotations

import io
import struct
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import pictures
from toolkit.commands import imgbatch as command
from toolkit.pictures import scene

from imgbatch.imaging import limits
from imgbatch.imaging.decode import pictures as decoded
from imgbatch.imaging.decode import read_header
from imgbatch.imaging.opening import Rules, _Unmapped
from imgbatch.imaging.series.pages import Pages

tifffile = pytest.importorskip("tifffile")

COUNT: Final = 5


def arrays(count: int = COUNT, channels: int = 3) -> list[NDArray[np.uint8]]:
    whole = scene(64 + count, 48)
    return [np.ascontiguousarray(whole[:, n : n + 64, :channels]) for n in range(count)]


def document(count: int = COUNT, **options: Any) -> bytes:
    """Pages as tifffile writes them."""
    file = BytesIO()
    with tifffile.TiffWriter(
        file, bigtiff=options.pop("bigtiff", False), byteorder=options.pop("byteorder", "<")
    ) as writer:
        for number, array in enumerate(arrays(count)):
            told = {"metadata": None, "software": False, "photometric": "rgb"}
            words = f"page {number}, and enough words to stand elsewhere"
            if options.get("planarconfig") == "separate":
                array = np.ascontiguousarray(np.moveaxis(array, -1, 0))
            writer.write(array, description=words, **told, **options)
    return file.getvalue()


FORMS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32)},
    "planes": {"planarconfig": "separate"},
    "LZW": {"compression": "lzw", "rowsperstrip": 9},
    "deflate": {"compression": "adobe_deflate", "tile": (16, 16)},
    "JPEG": {"compression": "jpeg"},
    "big-endian": {"byteorder": ">", "rowsperstrip": 7},
    "BigTIFF": {"bigtiff": True, "rowsperstrip": 7},
    "BigTIFF, big-endian": {"bigtiff": True, "byteorder": ">", "compression": "lzw"},
}


@pytest.mark.parametrize("form", FORMS)
def test_extracted_page_is_identical(form: str) -> None:
    whole = document(**FORMS[form])
    pages = Pages(BytesIO(whole))
    before = tifffile.TiffFile(BytesIO(whole)).pages
    assert len(pages) == len(before) == COUNT
    for number in range(COUNT):
        data, lost = pages.alone(number)
        assert lost == 0
        (alone,) = tifffile.TiffFile(BytesIO(data)).pages
        assert np.array_equal(alone.asarray(), before[number].asarray())
        assert alone.description == before[number].description
        assert len(data) < len(whole) / COUNT + 2_000
        with Image.open(BytesIO(data)) as image:
            assert image.size == (64, 48)
            image.load()


@pytest.mark.parametrize("form", ["plain", "strips", "LZW", "deflate"])
def test_truncated_page_shows_no_other_data(form: str) -> None:
    """Missing parts are missing from the extracted page, too."""
    whole = document(1, **FORMS[form])
    page = tifffile.TiffFile(BytesIO(whole)).pages[0]
    cut = whole[: max(page.dataoffsets) - 1]
    assert page.offset < len(cut) - 20
    for data in (cut, Pages(BytesIO(cut)).alone(0)[0]):
        with pytest.raises((OSError, ValueError)), Image.open(BytesIO(data)) as image:
            image.load()


@pytest.mark.slow
def test_16_bits_a_channel_are_kept_on_every_page(tmp_path: Path) -> None:
    pytest.importorskip("imagecodecs")
    deep = [array.astype(np.uint16) * 257 - 3 * n for n, array in enumerate(arrays())]
    with tifffile.TiffWriter(tmp_path / "in.tif") as writer:
        for array in deep:
            writer.write(array, photometric="rgb", metadata=None, compression="lzw")
    done = command("convert", "in.tif", "-f", "tiff", "-o", "out", "--artist", "me", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    with tifffile.TiffFile(tmp_path / "out/in.tif") as after:
        assert len(after.pages) == COUNT
        assert all(
            np.array_equal(page.asarray(), array)
            for page, array in zip(after.pages, deep, strict=True)
        )


def test_missing_or_wrong_lengths_are_derived_from_the_size() -> None:
    """Uncompressed data need no lengths, so some writers get them wrong."""
    whole = bytearray(document(2))
    (first,) = struct.unpack_from("<I", whole, 4)
    (count,) = struct.unpack_from("<H", whole, first)
    for at in range(first + 2, first + 2 + 12 * count, 12):
        if struct.unpack_from("<H", whole, at) == (0x0117,):
            struct.pack_into("<I", whole, at + 8, 1)
    data, _ = Pages(BytesIO(bytes(whole))).alone(0)
    assert np.array_equal(np.asarray(Image.open(BytesIO(data))), arrays(2)[0])


@pytest.mark.slow
def test_overlapping_pages_are_broken(tmp_path: Path) -> None:
    """All pages have the directory's own strips, so together they are longer than the file."""
    whole = bytearray(document(1))
    (first,) = struct.unpack_from("<I", whole, 4)
    (count,) = struct.unpack_from("<H", whole, first)
    directory = bytes(whole[first : first + 2 + 12 * count])
    link = first + 2 + 12 * count
    for _ in range(50):
        whole += bytes(len(whole) % 2)
        struct.pack_into("<I", whole, link, len(whole))
        link = len(whole) + len(directory)
        whole += directory + bytes(4)
    (tmp_path / "in.tif").write_bytes(whole)
    done = command("convert", "in.tif", "-f", "tiff", "-o", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert b"its pages overlap" in done.stderr
    # For the first page alone that is no problem.
    done = command("convert", "in.tif", "-f", "jpeg", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0
    assert b"1 warning" in done.stderr


def test_more_pages_than_are_read_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imgbatch.errors import PictureError

    (tmp_path / "in.tif").write_bytes(document())
    monkeypatch.setattr(limits, "PAGES", COUNT)
    every = Rules(every=lambda *_: True)
    assert len(list(decoded(f"{tmp_path}/in.tif", lambda size: size, every))) == 5
    monkeypatch.setattr(limits, "PAGES", COUNT - 1)
    with pytest.raises(PictureError, match="more than 4 pages"):
        next(decoded(f"{tmp_path}/in.tif", lambda size: size))


@pytest.mark.slow
@pytest.mark.parametrize("compression", [None, "lzw", "adobe_deflate"])
def test_reading_many_pages_reads_the_file_only_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str | None
) -> None:
    whole = document(120, compression=compression)
    (tmp_path / "in.tif").write_bytes(whole)
    read = 0

    class Counted(_Unmapped):
        def readinto(self, buffer: Any) -> int | None:
            nonlocal read
            length = super().readinto(buffer)
            read += length or 0
            return length

        def readall(self) -> bytes:
            nonlocal read
            data = super().readall()
            read += len(data)
            return data

    monkeypatch.setattr("imgbatch.imaging.opening._Unmapped", Counted)
    every = Rules(every=lambda *_: True)
    found = list(decoded(f"{tmp_path}/in.tif", lambda size: size, every))
    assert [np.asarray(one.image)[0, 0].tolist() for one in found] == [
        array[0, 0].tolist() for array in arrays(120)
    ]
    # And a buffer's length for each seek.
    assert len(whole) < read < 12 * len(whole) + 120 * 8 * io.DEFAULT_BUFFER_SIZE


@pytest.mark.slow
def test_pages_keep_their_own_metadata(tmp_path: Path) -> None:
    images = [Image.fromarray(array) for array in arrays(3)]
    data = [
        pictures.saved(image, "TIFF", tiffinfo={0x013B: f"artist {n}", 700: b"<x n='%d'/>" % n})
        for n, image in enumerate(images)
    ]
    from imgbatch.imaging.containers.tiff import joined

    (tmp_path / "in.tif").write_bytes(joined(data))
    words = ("resize", "in.tif", "-s", "30", "-o", "out", "-f", "tiff")
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    with Image.open(tmp_path / "out/in.tif") as after:
        for number in range(3):
            after.seek(number)
            tags = after.tag_v2  # type: ignore[attr-defined]
            assert tags[0x013B] == f"artist {number}"
            assert tags[700] == b"<x n='%d'/>" % number


# What is no page


def with_copies(*parts: tuple[str, int], **options: Any) -> bytes:
    """Directories in this order, each with its NewSubfileType; and the pixels that each shows."""
    whole = {"page": scene(64, 48), "half": scene(64, 48)[::2, ::2], "other": scene(64, 48)[::-1]}
    file = BytesIO()
    with tifffile.TiffWriter(file, **options) as writer:
        for name, kind in parts:
            pixels = np.ascontiguousarray(whole[name])
            writer.write(pixels, subfiletype=kind, metadata=None, software=False, photometric="rgb")
    return file.getvalue()


COPY, SEVERAL, MASK = 1, 2, 4


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}], ids=str)
@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        ([("page", 0), ("half", COPY), ("half", COPY)], ["page"]),
        ([("half", COPY), ("page", 0)], ["page"]),
        (
            [("page", SEVERAL), ("half", COPY), ("other", SEVERAL)],
            ["page", "other"],
        ),
        ([("half", COPY), ("page", 0), ("half", COPY), ("other", 0)], ["page", "other"]),
        ([("half", COPY)], ["half"]),
    ],
    ids=["pyramid", "thumbnail first", "pages with copies", "all of it", "nothing else"],
)
def test_reduced_copies_and_masks_are_no_pages(
    tmp_path: Path, parts: list[tuple[str, int]], shown: list[str], options: dict[str, Any]
) -> None:
    path = tmp_path / "photo.tif"
    path.write_bytes(with_copies(*parts, **options))
    found = list(decoded(str(path), lambda size: size, Rules(every=lambda kind, series: True)))
    wanted = [with_copies((name, 0)) for name in shown]
    for picture, alone in zip(found, wanted, strict=True):
        assert np.array_equal(np.asarray(picture.image), tifffile.imread(BytesIO(alone)))
    assert (found[0].series is not None) == (len(shown) > 1)
    assert read_header(str(path)).size == found[0].full_size


@pytest.mark.parametrize(
    "told",
    [
        struct.pack("<HHII", 0xFE, 4, 1, MASK),
        struct.pack("<HHII", 0xFE, 4, 1, MASK | COPY),
        # SubfileType, as TIFF had it before.
        struct.pack("<HHIHH", 0xFF, 3, 1, 2, 0),
    ],
    ids=["a mask", "a mask of a copy", "a copy, as of old"],
)
def test_masks_and_old_copies_are_no_pages(tmp_path: Path, told: bytes) -> None:
    data = with_copies(("page", 0), ("half", COPY))
    path = tmp_path / "photo.tif"
    path.write_bytes(data.replace(struct.pack("<HHII", 0xFE, 4, 1, COPY), told))
    (picture,) = decoded(str(path), lambda size: size, Rules(every=lambda *_: True))
    assert (picture.size, picture.series) == ((64, 48), None)


def test_pages_told_in_the_old_way_are_pages(tmp_path: Path) -> None:
    data = with_copies(("page", 0), ("half", COPY))
    told = struct.pack("<HHIHH", 0xFF, 3, 1, 3, 0)
    path = tmp_path / "photo.tif"
    path.write_bytes(data.replace(struct.pack("<HHII", 0xFE, 4, 1, COPY), told))
    assert len(list(decoded(str(path), lambda size: size, Rules(every=lambda *_: True)))) == 2
