"""The pictures: the samples and the test toolkit's, or a folder's; and files that recipes name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final, get_args

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from toolkit import pictures
from toolkit.pictures import Gps, Order, saved, scene
from toolkit.specimens import Specimen, specimens

ROOT: Final = Path(__file__).resolve().parents[3]
SAMPLES: Final = ROOT / "sample_images"

MADE: Final = "made"
"""The folder of the small pictures among all of them."""
_EARLIEST: Final = 1_700_000_000


def plant(place: Path, folder: Path | None) -> str:
    """Put the pictures into a new folder; return the folder of the small ones in it."""
    if folder is not None:
        shutil.copytree(folder, place, ignore_dangling_symlinks=True)
        return "."
    shutil.copytree(SAMPLES, place / "samples")
    (place / MADE).mkdir()
    for number, one in enumerate(made()):
        file = place / MADE / one.name
        file.write_bytes(one.data)
        # A minute apart, so that names with dates do not depend on when they were written.
        moment = _EARLIEST + 60 * number
        os.utime(file, (moment, moment))
    return MADE


def plant_assets(place: Path) -> None:
    """The files that operations and options name."""
    place.mkdir(parents=True)
    shutil.copyfile(SAMPLES / "film.cube", place / "film.cube")
    shutil.copyfile(SAMPLES / "logo-alpha.png", place / "logo.png")
    (place / "wide.icc").write_bytes(pictures.wide_gamut_profile())


def made() -> Iterator[Specimen]:
    """Pictures from the test toolkit, deterministic and with unique stems."""
    for one in specimens():
        yield Specimen(f"{one.name.replace('.', '-')}{one.suffix}", one.data)
    yield from _turned()
    yield from _told_of()
    yield from _few_bits()
    yield from _tiles()
    yield from _wrong()


def _turned() -> Iterator[Specimen]:
    for orientation in pictures.SIDES:
        order: Order = ">" if orientation % 2 else "<"
        block = pictures.exif_block(order, orientation=orientation).block
        pixels = pictures.stored(scene(), orientation)
        data = pictures.with_metadata(pixels, "JPEG", exif=block)
        yield Specimen(f"turned-{orientation}.jpg", data)


def _told_of() -> Iterator[Specimen]:
    """Positions, rights and captions as programs write them."""
    for kind in get_args(Gps):
        packet = pictures.xmp_packet(gps=kind, thumbnail=True)
        yield Specimen(f"xmp-{kind}.jpg", pictures.with_metadata(scene(), "JPEG", xmp=packet))
    iptc = pictures.image_resource(0x0404, pictures.iptc_records())
    segments = [pictures.photoshop_segment(iptc), (0xFFFE, b"a comment")]
    yield Specimen("iptc.jpg", pictures.with_segments(saved(scene(), "JPEG"), segments))
    texts = PngInfo()
    texts.add_text("Comment", "a comment")
    texts.add_text("Raw profile type iptc", pictures.raw_profile("iptc", iptc), zip=True)
    yield Specimen("texts.png", saved(scene(), "PNG", pnginfo=texts, dpi=(72, 72)))
    yield Specimen("großer Abend 1.jpg", saved(scene(), "JPEG", quality=70))


def _few_bits() -> Iterator[Specimen]:
    for bits in (1, 2, 4, 8):
        palette = Image.fromarray(scene()).quantize(2**bits)
        yield Specimen(f"bits-{bits}.png", saved(palette, "PNG", bits=bits))


def _tiles() -> Iterator[Specimen]:
    try:
        import tifffile
    except ImportError:
        return
    deep = scene().astype(np.uint16) * 257
    for name, pixels in (("tiled", scene()), ("tiled-deep", deep)):
        file = BytesIO()
        tifffile.imwrite(file, pixels, tile=(16, 32), photometric="rgb", metadata=None)
        yield Specimen(f"{name}.tif", file.getvalue())


def _wrong() -> Iterator[Specimen]:
    """Broken files, and misleading names."""
    whole = {
        "jpg": saved(scene(), "JPEG"),
        "png": saved(scene(), "PNG"),
        "tif": saved(scene(), "TIFF"),
        "webp": saved(scene(), "WEBP"),
        "gif": saved(Image.fromarray(scene()).quantize(32), "GIF"),
    }
    for suffix, data in whole.items():
        yield Specimen(f"short-{suffix}.{suffix}", data[: len(data) * 6 // 10])
    yield Specimen("empty.jpg", b"")
    yield Specimen("words.jpg", b"This is not a picture.\n" * 20)
    yield Specimen("page.png", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    yield Specimen("really-png.jpg", whole["png"])
    yield Specimen("really-jpeg.webp", whole["jpg"])
    yield Specimen("really-webp.tif", whole["webp"])
    mangled = b"II*\0\x08\0\0\0\xff\xff" + bytes(20)
    yield Specimen("exif-broken.jpg", pictures.with_metadata(scene(), "JPEG", exif=mangled))
    yield Specimen("profile-broken.jpg", saved(scene(), "JPEG", icc_profile=b"no profile" * 20))
