"""scripts/tool make_samples [DIR]: make the sample pictures, each for one kind of file.

Every picture is computed; nothing is photographed, downloaded or copied. With the same versions
of Pillow and NumPy each run writes the same bytes. DIR defaults to sample_images.
"""

from __future__ import annotations

import argparse
import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageDraw, ImageFilter, ImageFont
from PIL.Image import Transpose
from toolkit import ROOT

Array = npt.NDArray[np.floating]
MOST_BYTES = 3_000_000

# --- pictures ----------------------------------------------------------------------------------


def noise(seed: int, height: int, width: int, roughness: float) -> Array:
    """Fractal noise of mean 0 and deviation 1: white noise filtered to 1/f**roughness."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.normal(size=(height, width)))
    down = np.fft.fftfreq(height)[:, None] * height
    across = np.fft.rfftfreq(width)[None, :] * width
    frequency = np.hypot(down, across)
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(spectrum / frequency**roughness, (height, width))
    return np.asarray((field - field.mean()) / field.std())


def ridge(seed: int, width: int, roughness: float) -> Array:
    """A mountain ridge: fractal noise in one dimension, seamless at the ends."""
    row: Array = noise(seed, 1, width, roughness)[0]
    return row


def blend(below: Array, above: Array, share: Array) -> Array:
    """`above` over `below`, by a share from 0 to 1 for each pixel."""
    return below + (above - below) * np.clip(share, 0, 1)[..., None]


def landscape(seed: int, width: int, height: int, *, evening: bool = False) -> Image.Image:
    """Sky with clouds and a sun, ridges that fade into the haze, and a meadow or a lake."""
    rows = np.linspace(0, 1, height)[:, None] + np.zeros((1, width))
    columns = np.linspace(0, width / height, width)[None, :] + np.zeros((height, 1))
    top, low = ((46, 62, 118), (250, 172, 104)) if evening else ((58, 116, 190), (206, 224, 236))
    haze = np.array(low, float)
    picture = blend(np.full((height, width, 3), top, float), haze, (rows / 0.55) ** 1.2)
    clouds = noise(seed, height, width, 1.6) + 0.35 * noise(seed + 1, height, width, 1.1)
    white = np.array((255, 214, 190) if evening else (252, 252, 255), float)
    picture = blend(picture, white, np.clip(clouds * 0.55 - 0.1, 0, 0.85) * (1 - rows))
    sun = np.hypot(columns - 0.72 * width / height, rows - (0.40 if evening else 0.16))
    glow = np.array((255, 236, 190), float)
    picture = blend(picture, glow, 0.75 * np.exp(-((sun / 0.16) ** 2)))
    picture = blend(picture, np.array((255, 252, 240), float), (0.035 - sun) * 400)
    near = np.array((30, 44, 40) if evening else (44, 70, 46), float)
    for layer in range(5):
        share = layer / 4
        crest = (
            0.40
            + 0.11 * layer
            - (0.10 - 0.012 * layer) * ridge(seed + 10 + layer, width, 1.5 - 0.08 * layer)
        )
        relief = noise(seed + 20 + layer, height, width, 1.25)
        ground = (
            haze + (near - haze) * (0.25 + 0.75 * share) + relief[..., None] * 13 * (share + 0.3)
        )
        picture = blend(picture, ground, (rows - crest[None, :]) * height / 1.5)
    shore = 0.80 + 0.01 * ridge(seed + 40, width, 1.8)[None, :]
    depth = np.clip((rows - shore) / 0.2, 0, 1)
    if evening:
        mirror = picture[
            np.clip((shore.mean() * 2 - rows[:, 0]) * height, 0, height - 1).astype(int)
        ]
        ripples = np.repeat(noise(seed + 41, height, width // 8, 0.9), 8, axis=1)
        ripples = np.pad(ripples, ((0, 0), (0, width - ripples.shape[1])), mode="edge")
        front = mirror * 0.8 + ripples[..., None] * (4 + 16 * depth[..., None])
    else:
        grass = noise(seed + 42, height, width, 0.75)[..., None]
        front = np.array((88, 128, 52), float) + grass * (8 + 26 * depth[..., None])
        flowers = noise(seed + 43, height, width, 0.4) > 3.1 - 0.5 * depth
        front = blend(front, np.array((238, 214, 84), float), flowers * 0.9)
    picture = blend(picture, front, (rows - shore) * height / 1.5)
    return to_image(picture)


def detail(width: int, height: int) -> Image.Image:
    """A zone plate, whose rings reach the finest detail, next to foliage and text."""
    x = np.arange(width)[None, :] - width * 0.36
    y = np.arange(height)[:, None] - height * 0.5
    # The rings fade out before they get finer than pixels: no moiré in the sample itself.
    radius = np.hypot(x, y)
    contrast = np.clip((height * 0.48 - radius) / (height * 0.06), 0, 1)
    rings = 127.5 + 127.5 * contrast * np.cos(np.pi * radius**2 / height)
    leaves = noise(5, height, width, 0.6) * 40
    foliage = np.stack([70 + leaves * 0.8, 104 + leaves, 52 + leaves * 0.6], axis=-1)
    plate = np.repeat(rings[..., None], 3, axis=2)
    share = (np.arange(width)[None, :] - width * 0.72) / 4 + np.zeros((height, 1))
    image = to_image(blend(plate, foliage, share))
    draw = ImageDraw.Draw(image)
    for line, size in enumerate((38, 30, 24, 18, 14, 10)):
        draw.text(
            (width * 0.75, 60 + line * height / 8),
            "Hamburgefonts 0123",
            "white",
            font=letters(size * height // 1000),
        )
    return image


def portrait(orientation: int) -> Image.Image:
    """A person before a wall with skin tones and a colour chart, an arrow, and a number."""
    width, height = 800, 1200
    rows = np.linspace(0, 1, height)[:, None] + np.zeros((1, width))
    wall = np.array((150, 164, 172), float) + noise(60, height, width, 1.2)[..., None] * 7
    image = to_image(wall - 60 * rows[..., None])
    draw = ImageDraw.Draw(image)
    draw.ellipse((90, 760, 710, 1500), fill=(52, 70, 104))
    draw.rounded_rectangle((335, 640, 465, 830), 50, fill=(208, 150, 120))
    draw.ellipse((240, 300, 560, 720), fill=(226, 172, 142))
    draw.chord((225, 260, 575, 620), 178, 362, fill=(62, 42, 30))
    for x in (330, 470):
        draw.ellipse((x - 28, 495, x + 28, 523), fill="white")
        draw.ellipse((x - 13, 496, x + 13, 522), fill=(60, 84, 70))
    draw.arc((340, 560, 460, 650), 25, 155, fill=(150, 70, 66), width=9)
    image = image.filter(ImageFilter.GaussianBlur(3))
    grain = np.asarray(image, float) + np.random.default_rng(6).normal(0, 3, (height, width, 1))
    image = to_image(grain)
    draw = ImageDraw.Draw(image)
    tones = ((244, 208, 177), (231, 180, 143), (198, 134, 96), (141, 85, 54), (88, 52, 38))
    for index, tone in enumerate((*tones, (200, 40, 40), (40, 150, 60), (40, 70, 190))):
        draw.rectangle((40 + index * 90, 1080, 120 + index * 90, 1160), fill=tone, outline="white")
    draw.polygon(
        [(90, 40), (40, 120), (75, 120), (75, 220), (105, 220), (105, 120), (140, 120)], "white"
    )
    draw.text((170, 40), "UP", "white", font=letters(90))
    draw.text((620, 30), str(orientation), "white", font=letters(120))
    return image


def logo(width: int, height: int) -> Image.Image:
    """A badge with soft edges and text on a transparent background."""
    alpha = Image.new("L", (width * 2, height * 2))
    draw = ImageDraw.Draw(alpha)
    draw.ellipse((width * 0.4, height * 0.15, width * 1.6, height * 1.85), fill=255)
    draw.ellipse((width * 0.5, height * 0.30, width * 1.5, height * 1.70), fill=150)
    alpha = alpha.resize((width, height), Image.Resampling.LANCZOS).filter(
        ImageFilter.GaussianBlur(4)
    )
    rows = np.linspace(0, 1, height)[:, None, None]
    colours = np.array((230, 60, 60)) * (1 - rows) + np.array((250, 190, 40)) * rows
    image = to_image(colours + np.zeros((height, width, 3)))
    image.putalpha(alpha)
    ImageDraw.Draw(image).text(
        (width / 2, height / 2),
        "imgbatch",
        (255, 255, 255, 255),
        font=letters(width // 8),
        anchor="mm",
    )
    return image


def vivid(width: int, height: int) -> Image.Image:
    """Fields of colours that only a wide gamut has: without its profile they look dull."""
    x = np.linspace(0, 4, width)[None, :] + noise(70, height, width, 2.2) * 0.25
    y = np.linspace(0, 1, height)[:, None]
    hue = np.stack([np.cos((x - shift) * np.pi / 2) for shift in (0, 1.33, 2.66)], axis=-1)
    return to_image(127.5 + 127.5 * hue * (0.35 + 0.65 * np.sin(np.pi * y))[..., None])


def frames(count: int, size: int) -> list[Image.Image]:
    """A ball that rolls round a clock's face."""
    made = []
    for index in range(count):
        image = Image.new("RGB", (size, size), (24, 32, 56))
        draw = ImageDraw.Draw(image)
        draw.ellipse((8, 8, size - 8, size - 8), outline=(90, 110, 160), width=3)
        angle = 2 * np.pi * index / count
        x, y = (size / 2 + size * 0.33 * turn for turn in (np.sin(angle), -np.cos(angle)))
        draw.ellipse((x - 16, y - 16, x + 16, y + 16), fill=(250, 200 - 10 * index, 60))
        draw.text((size / 2, size / 2), str(index + 1), "white", font=letters(40), anchor="mm")
        made.append(image)
    return made


def letters(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font."""
    return ImageFont.load_default(size=size)


def to_image(picture: Array) -> Image.Image:
    """Round and clip to 8 bits."""
    return Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8))


# --- metadata ----------------------------------------------------------------------------------


def exif(orientation: int = 1, *, gps: bool = False) -> Image.Exif:
    """What a camera writes."""
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = "Imaginary"
    tags[ExifTags.Base.Model] = "Model 1"
    tags[ExifTags.Base.Orientation] = orientation
    tags[ExifTags.Base.XResolution] = tags[ExifTags.Base.YResolution] = 300.0
    tags[ExifTags.Base.ResolutionUnit] = 2
    tags[ExifTags.Base.Artist] = "A. Photographer"
    tags[ExifTags.Base.Copyright] = "(c) 2026 A. Photographer"
    taken = tags.get_ifd(ExifTags.IFD.Exif)
    taken[ExifTags.Base.DateTimeOriginal] = "2026:05:17 18:42:00"
    taken[ExifTags.Base.ExposureTime] = 0.004
    taken[ExifTags.Base.FNumber] = 8.0
    taken[ExifTags.Base.ISOSpeedRatings] = 100
    if gps:
        place = tags.get_ifd(ExifTags.IFD.GPSInfo)
        place[ExifTags.GPS.GPSLatitudeRef], place[ExifTags.GPS.GPSLongitudeRef] = "N", "E"
        place[ExifTags.GPS.GPSLatitude] = (53.0, 25.0, 12.5)
        place[ExifTags.GPS.GPSLongitude] = (12.0, 41.0, 48.25)
    return tags


def with_thumbnail(block: bytes, thumbnail: Image.Image) -> bytes:
    """The EXIF block with a second directory and a small JPEG in it (Exif 2.32, 4.5.5)."""
    head, tiff = block[:6], bytearray(block[6:])
    order = "<" if tiff[:2] == b"II" else ">"
    buffer = BytesIO()
    thumbnail.save(buffer, "JPEG", quality=70)
    second = len(tiff)
    link = 8 + 2 + 12 * struct.unpack_from(order + "H", tiff, 8)[0]
    struct.pack_into(order + "I", tiff, link, second)
    entries = ((0x0103, 3, 6), (0x0201, 4, second + 42), (0x0202, 4, len(buffer.getvalue())))
    tiff += struct.pack(order + "H", len(entries))
    for tag, kind, value in entries:
        # A SHORT is in the first half of its four bytes.
        field = struct.pack(
            order + ("HH" if kind == 3 else "I"), *((value, 0) if kind == 3 else (value,))
        )
        tiff += struct.pack(order + "HHI", tag, kind, 1) + field
    return head + bytes(tiff + struct.pack(order + "I", 0) + buffer.getvalue())


XMP = b"""<?xpacket begin='\xef\xbb\xbf' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    exif:GPSLatitude="53,25.2083N" exif:GPSLongitude="12,41.8042E">
   <dc:creator><rdf:Seq><rdf:li>A. Photographer</rdf:li></rdf:Seq></dc:creator>
   <dc:rights><rdf:Alt>
    <rdf:li xml:lang="x-default">(c) 2026 A. Photographer</rdf:li>
   </rdf:Alt></dc:rights>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end='w'?>"""


def display_p3() -> bytes:
    """A matrix profile with the primaries of Display P3 and gamma 2.2 (ICC.1:2001-04, v2.4)."""

    def fixed(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    def text(words: bytes) -> bytes:
        return b"text" + bytes(4) + words + b"\0"

    name = b"Display P3 with gamma 2.2\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": text(b"No copyright, use freely"),
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249),
        b"rXYZ": b"XYZ " + bytes(4) + fixed(0.5151, 0.2412, -0.0011),
        b"gXYZ": b"XYZ " + bytes(4) + fixed(0.2920, 0.6922, 0.0419),
        b"bXYZ": b"XYZ " + bytes(4) + fixed(0.1571, 0.0666, 0.7841),
        **dict.fromkeys(
            (b"rTRC", b"gTRC", b"bTRC"), b"curv" + bytes(4) + struct.pack(">IH", 1, 563)
        ),
    }
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for signature, content in tags.items():
        table += signature + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = start + len(data)
    header = struct.pack(">I4xI4s4s4s", size, 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + data


# --- the samples -------------------------------------------------------------------------------


def mountains(path: Path) -> None:
    image = landscape(1, 2400, 1600)
    small = image.resize((160, 107), Image.Resampling.LANCZOS)
    block = with_thumbnail(exif().tobytes(), small)
    image.save(path, quality=82, dpi=(300, 300), exif=block)


def lake(path: Path) -> None:
    image = landscape(2, 1800, 1200, evening=True)
    image.save(path, quality=84, exif=exif(gps=True), xmp=XMP)


def turned(orientation: int, back: Transpose) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        image = portrait(orientation).transpose(back)
        image.save(path, quality=82, exif=exif(orientation))

    return make


def truncated(path: Path) -> None:
    buffer = BytesIO()
    landscape(4, 900, 600).save(buffer, "JPEG", quality=80)
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) * 6 // 10])


def wide_gamut(path: Path) -> None:
    vivid(1200, 800).save(path, quality=88, icc_profile=display_p3())


def palette(path: Path) -> None:
    image = Image.new("RGBA", (640, 427))
    image.alpha_composite(logo(640, 427))
    flat = image.convert("RGB").quantize(63)
    clear = flat.getpalette()
    assert clear is not None
    flat.putpalette([*clear[:189], 255, 0, 255])
    hole = image.getchannel("A").point([255] * 128 + [0] * 128)
    flat.paste(63, mask=hole)
    flat.save(path, transparency=63)


def cmyk(path: Path) -> None:
    ink = 255 - np.asarray(landscape(3, 900, 600), float)
    # Pillow's own conversion leaves black empty; printers put the greys there.
    black = ink.min(axis=2, keepdims=True) * 0.8
    colours = (ink - black) / (255 - black) * 255
    plates = np.rint(np.concatenate([colours, black], axis=2)).astype(np.uint8)
    image = Image.merge("CMYK", [Image.fromarray(plates[..., plate]) for plate in range(4)])
    image.save(path, quality=84, dpi=(300, 300))


def depth(path: Path) -> None:
    rows = np.linspace(0, 1, 400)[:, None]
    hills = np.repeat(ridge(80, 600, 1.6)[None, :], 400, axis=0) * 0.08
    levels = np.clip(rows * 0.6 + np.where(rows > 0.5 + hills, 0.35, 0), 0, 1) * 65_535
    Image.fromarray(np.rint(levels).astype(np.uint16)).save(path)


def moving(path: Path) -> None:
    first, *others = frames(10, 200)
    first.save(path, save_all=True, append_images=others, duration=80, loop=0)


def mislabelled(path: Path) -> None:
    vivid(320, 213).filter(ImageFilter.GaussianBlur(2)).quantize(128).save(path, "PNG")


@dataclass(frozen=True)
class Sample:
    """A file, what it is, what it is for, and the program that makes it."""

    name: str
    what: str
    purpose: str
    make: Callable[[Path], None]


def film(path: Path) -> None:
    """A warm look: shadows lifted towards blue, highlights towards yellow."""
    levels = [step / 8 for step in range(9)]
    rows = [
        f"{red**0.85:.4f} {green**0.98 * 0.96 + 0.02:.4f} {blue * 0.8 + 0.08:.4f}"
        for blue in levels
        for green in levels
        for red in levels
    ]
    head = 'TITLE "Warm film"\nLUT_3D_SIZE 9\n'
    path.write_text(head + "\n".join(rows) + "\n", encoding="ascii")


SAMPLES = (
    Sample(
        "mountains.jpg",
        "JPEG, 2400 × 1600, EXIF, 300 dpi",
        "the plain case; has an embedded thumbnail, which must not be carried along",
        mountains,
    ),
    Sample(
        "lake-with-gps.jpg",
        "JPEG, 1800 × 1200, EXIF and XMP",
        "a position in both, and rights: `--metadata no-gps`, `copyright`",
        lake,
    ),
    Sample(
        "detail.jpg",
        "JPEG, 1500 × 1000",
        "the finest detail: resampling without moiré, sharpening",
        lambda path: detail(1500, 1000).save(path, quality=80),
    ),
    Sample(
        "orientation-3.jpg",
        "JPEG, stored upside down",
        "must come out upright",
        turned(3, Transpose.ROTATE_180),
    ),
    Sample(
        "orientation-5.jpg",
        "JPEG, stored mirrored and on its side",
        "must come out upright and readable",
        turned(5, Transpose.TRANSPOSE),
    ),
    Sample(
        "orientation-6.jpg",
        "JPEG, stored on its side",
        "must come out portrait, with the right long edge",
        turned(6, Transpose.ROTATE_90),
    ),
    Sample(
        "orientation-8.jpg",
        "JPEG, stored on its other side",
        "likewise",
        turned(8, Transpose.ROTATE_270),
    ),
    Sample(
        "wide-gamut.jpg",
        "JPEG with a Display P3 profile",
        "the profile must be kept or converted: without it colours are dull",
        wide_gamut,
    ),
    Sample(
        "print-cmyk.jpg", "JPEG in CMYK", "kept as CMYK, or converted for formats without it", cmyk
    ),
    Sample(
        "logo-alpha.png",
        "PNG with alpha",
        "soft edges without fringes; flattened for JPEG",
        lambda path: logo(600, 450).save(path),
    ),
    Sample(
        "badge-alpha.webp",
        "WebP with alpha",
        "the same in another format",
        lambda path: logo(600, 450).save(path, quality=85),
    ),
    Sample(
        "palette.png",
        "PNG with a palette and a transparent colour",
        "transparency without an alpha channel",
        palette,
    ),
    Sample(
        "depth-16-bit.png",
        "PNG, 16-bit grey",
        "must stay 16-bit, and never be clipped to white",
        depth,
    ),
    Sample(
        "clock.gif", "animated GIF, 10 frames", "frames that cannot be kept must be told of", moving
    ),
    Sample("clock-again.webp", "animated WebP, 10 frames", "likewise", moving),
    Sample(
        "icon.png",
        "PNG, 48 × 48",
        "smaller than any size asked for: must not be enlarged",
        lambda path: logo(480, 480).resize((48, 48)).save(path),
    ),
    Sample(
        "scan.tif",
        "TIFF, deflate, 600 dpi",
        "resolution must be carried along",
        lambda path: detail(450, 300).save(path, compression="tiff_adobe_deflate", dpi=(600, 600)),
    ),
    Sample(
        "phone.avif",
        "AVIF with EXIF",
        "a modern format, in and out",
        lambda path: landscape(6, 1200, 800, evening=True).save(
            path, quality=60, speed=8, max_threads=1, exif=exif().tobytes()
        ),
    ),
    Sample(
        "really-a-png.jpg",
        "a PNG with a wrong name",
        "content decides: its output must get the right suffix",
        mislabelled,
    ),
    Sample(
        "cut-short.jpg", "a JPEG that ends at 60 %", "must fail alone, with a reason", truncated
    ),
    Sample(
        "nested/Müritz am Abend.jpg",
        "JPEG in a subfolder",
        "folders are mirrored; names with spaces and letters",
        lambda path: landscape(7, 1200, 800, evening=True).save(path, quality=82, exif=exif()),
    ),
    Sample(
        "film.cube",
        "a table of 9 × 9 × 9 colours",
        "no picture: a warm look for `--filter lut:file=…`",
        film,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "sample_images")
    folder: Path = parser.parse_args().folder
    lines = [
        "# Sample images",
        "",
        "All are made by `scripts/tool make_samples`, and under the project's own licence.",
        "",
        "| File | What it is | What it is for |",
        "|---|---|---|",
    ]
    for sample in SAMPLES:
        path = folder / sample.name
        path.parent.mkdir(parents=True, exist_ok=True)
        sample.make(path)
        lines.append(f"| `{sample.name}` | {sample.what} | {sample.purpose} |")
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{len(SAMPLES)} samples, {total / 1e6:.2f} MB in {folder}")
    assert total <= MOST_BYTES, "the samples are too large for the repository"


if __name__ == "__main__":
    main()
