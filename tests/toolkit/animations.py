"""GIF and APNG written byte by byte, and how their frames look."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import imgbatch
from imgbatch import Recipe
from imgbatch.imaging.decode import pictures as decoded_pictures
from imgbatch.imaging.opening import Rules
from imgbatch.imaging.picture import Picture
from imgbatch.model import Result
from toolkit import pictures
from toolkit.pictures import saved

Pixels = NDArray[np.uint8]
CANVAS: Final = (24, 16)


@dataclass(frozen=True)
class Part:
    """A frame of a GIF: colour indices, position and disposal."""

    numbers: NDArray[np.uint8]
    at: tuple[int, int] = (0, 0)
    disposal: int = 0
    transparent: int | None = None
    delay: int = 10
    colours: Pixels | None = None
    interlaced: bool = False


def lzw(numbers: Sequence[int]) -> bytes:
    """Indices below 256 as GIF's LZW, uncompressed, with a clear code before codes grow."""
    bits, count = 0, 0
    out = bytearray()
    for index, number in enumerate([*numbers, 257]):
        for code in ([256] if index % 200 == 0 else []) + [number]:
            bits |= code << count
            count += 9
            while count >= 8:
                out.append(bits & 255)
                bits >>= 8
                count -= 8
    out.append(bits)
    blocks = [bytes(out[at : at + 255]) for at in range(0, len(out), 255)]
    return b"\x08" + b"".join(bytes((len(one),)) + one for one in blocks) + b"\0"


def gif_file(
    parts: Sequence[Part],
    colours: Pixels,
    *,
    loops: int | None = None,
    size: tuple[int, int] = CANVAS,
    background: int = 0,
) -> bytes:
    """A GIF89a with a table of 256 colours."""
    data = b"GIF89a" + struct.pack("<HHBBB", *size, 0xF7, background, 0) + colours.tobytes()
    if loops is not None:
        data += b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", loops, 0)
    for part in parts:
        height, width = part.numbers.shape
        flags = part.disposal << 2 | (part.transparent is not None)
        data += struct.pack("<4BHBB", 33, 0xF9, 4, flags, part.delay, part.transparent or 0, 0)
        rows = part.numbers
        if part.interlaced:
            order = [
                row
                for first, step in ((0, 8), (4, 8), (2, 4), (1, 2))
                for row in range(first, height, step)
            ]
            rows = rows[order]
        flags = (0x40 if part.interlaced else 0) | (0x87 if part.colours is not None else 0)
        data += struct.pack("<B4HB", 44, *part.at, width, height, flags)
        data += part.colours.tobytes() if part.colours is not None else b""
        data += lzw(rows.ravel().tolist())
    return data + b";"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@dataclass(frozen=True)
class Layer:
    """A frame of an APNG: RGBA pixels, position, and how it is blended."""

    pixels: Pixels
    at: tuple[int, int] = (0, 0)
    disposal: int = 0
    over: bool = False
    delay: tuple[int, int] = (1, 10)


def apng_file(
    layers: Sequence[Layer], *, plays: int = 0, still: Pixels | None = None, behind: bytes = b""
) -> bytes:
    """An APNG of 8-bit RGBA; `still` is a default image that is not a frame."""
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", *CANVAS, 8, 6, 0, 0, 0))
    data += chunk(b"acTL", struct.pack(">2I", len(layers), plays))
    number = 0
    if still is not None:
        data += chunk(b"IDAT", compressed(still))
    for index, layer in enumerate(layers):
        height, width = layer.pixels.shape[:2]
        control = (number, width, height, *layer.at, *layer.delay, layer.disposal, layer.over)
        data += chunk(b"fcTL", struct.pack(">5I2H2B", *control))
        number += 1
        if index == 0 and still is None:
            data += chunk(b"IDAT", compressed(layer.pixels))
            continue
        # In two pieces, which is allowed.
        whole = compressed(layer.pixels)
        for piece in (whole[:9], whole[9:]):
            data += chunk(b"fdAT", struct.pack(">I", number) + piece)
            number += 1
    return data + behind + chunk(b"IEND", b"")


def compressed(pixels: Pixels) -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))


def decoded_frames(
    folder: Path, data: bytes, name: str = "moving", **options: Any
) -> list[Picture]:
    (folder / name).write_bytes(data)
    options.setdefault("every", lambda *asked: True)
    admit = options.pop("admit", None)
    path, rules = str(folder / name), Rules(**options)
    return list(decoded_pictures(path, lambda size: size, rules, admit=admit))


def rgba(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image.convert("RGBA")).astype(np.float64)


def off(image: Image.Image, expected: NDArray[Any]) -> float:
    """The largest difference, in colours as seen on black and in alpha."""
    one, other = rgba(image), expected.astype(np.float64)
    colours = one[..., :3] * one[..., 3:] / 255 - other[..., :3] * other[..., 3:] / 255
    return float(max(np.abs(colours).max(), np.abs(one[..., 3] - other[..., 3]).max()))


def table(seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (256, 3)).astype(np.uint8)


def numbers(seed: int, width: int = CANVAS[0], height: int = CANVAS[1]) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 250, (height, width)).astype(np.uint8)


def with_hole(pixels: NDArray[np.uint8], number: int = 255) -> NDArray[np.uint8]:
    pixels = pixels.copy()
    pixels[2:6, 3:8] = number
    return pixels


GIFS: Final[dict[str, list[Part]]] = {
    "all kinds of disposal": [
        Part(numbers(1)),
        *(
            Part(with_hole(numbers(seed, 12, 9)), (3 + seed % 4, 2), seed % 4, 255, 10 + seed)
            for seed in range(2, 12)
        ),
    ],
    "tables of their own": [
        Part(numbers(1), colours=table(5)),
        Part(with_hole(numbers(2, 10, 10)), (12, 5), 1, 255, colours=table(6)),
        Part(numbers(3, 8, 8), (0, 0), 2),
        Part(with_hole(numbers(4, 10, 10)), (12, 5), 3, 255, colours=table(7)),
        Part(numbers(5, 3, 3), (20, 12)),
    ],
    "interlaced": [
        Part(numbers(1), interlaced=True),
        Part(with_hole(numbers(2, 15, 11)), (4, 3), 1, 255, interlaced=True),
    ],
    "the first one smaller than the canvas": [
        Part(numbers(1, 10, 6), (7, 5)),
        Part(numbers(2, 5, 5), (1, 1), 2),
        Part(numbers(3, 5, 5), (15, 9)),
    ],
    "the first one to come back": [
        Part(with_hole(numbers(1)), (0, 0), 3, 255),
        Part(numbers(2, 5, 5), (1, 1), 1),
    ],
    "beyond the canvas": [Part(numbers(1)), Part(numbers(2), (9, 5), 2), Part(numbers(3, 2, 2))],
    "one frame that is not the whole": [Part(numbers(1, 9, 9), (5, 4), transparent=255)],
}


def half(seed: int, width: int = CANVAS[0], height: int = CANVAS[1]) -> Pixels:
    """Noise with every level of alpha."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4)).astype(np.uint8)


LAYERS: Final = [
    Layer(half(1)),
    Layer(half(2, 12, 9), (3, 2), 0, over=True, delay=(3, 100)),
    Layer(half(3, 9, 12), (10, 4), 1, over=True, delay=(7, 0)),
    Layer(half(4, 9, 12), (5, 1), 2, over=False, delay=(1, 30)),
    Layer(half(5, 12, 9), (8, 7), 2, over=True, delay=(0, 5)),
    Layer(half(6, 7, 7), (0, 0), 1),
    Layer(half(7, 24, 3), (0, 9), 0, over=True),
]


def moving(seed: int = 0, *, alpha: bool = True) -> list[Image.Image]:
    """Six frames of a square that moves over a picture with or without a hole."""
    scene = pictures.scene(120, 80)
    frames = []
    for step in range(6):
        pixels = np.dstack([scene, np.full(scene.shape[:2], 255, np.uint8)])
        if alpha:
            pixels[20:60, 50 + 4 * step : 100 + 4 * step] = 0
        pixels[10 + 6 * step : 40 + 6 * step, 8 + 12 * step : 40 + 12 * step] = (
            *(240 - 30 * step, 30 * step, 60),
            255,
        )
        frames.append(Image.fromarray(pixels if alpha else pixels[..., :3].copy()))
    return frames


TIMES: Final = [100, 50, 40, 120, 250, 30]

QUALITY: Final[dict[str, dict[str, Any]]] = {
    "gif": {},
    "png": {},
    "webp": {"lossless": True},
    "avif": {"quality": 95, "speed": 9},
}


def source(kind: str, *, alpha: bool = True) -> bytes:
    """Those frames in a file, written by Pillow."""
    frames = moving(alpha=alpha)
    more: dict[str, Any] = {"loop": {"gif": 2}.get(kind, 3)} | QUALITY[kind]
    if kind == "gif":
        more["disposal"] = 2 if alpha else 1
    return saved(
        frames[0], kind.upper(), save_all=True, append_images=frames[1:], duration=TIMES, **more
    )


def composed(data: bytes) -> Iterator[tuple[Image.Image, float]]:
    """Each frame as Pillow composes it, with its duration."""
    with Image.open(BytesIO(data)) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            yield image.convert("RGBA"), image.info.get("duration", 0)


def run(folder: Path, data: bytes, name: str, jobs: int = 1, **options: Any) -> Result:
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / name).write_bytes(data)
    memory = options.pop("memory", None)
    salvage = options.pop("salvage", False)
    recipe = Recipe.from_options(**options)
    (result,) = imgbatch.run(
        recipe,
        [folder / "in" / name],
        output=folder / "out",
        jobs=jobs,
        memory=memory,
        salvage=salvage,
    )
    return result


def made(folder: Path, data: bytes, name: str, **options: Any) -> bytes:
    result = run(folder, data, name, **options)
    assert result.status == "done", result.failure
    return Path(result.written[0].path).read_bytes()
