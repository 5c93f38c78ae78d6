"""Everything that reads a container, tried on any bytes at all.

Used by tests/imaging/containers/test_fuzz.py for a few thousand inputs, and by
`scripts/tool fuzz_containers` for as many as desired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from random import Random
from typing import Final

from imgbatch.imaging import limits
from imgbatch.imaging.containers import gif, isobmff, jpeg, photoshop, png, riff, tiff
from toolkit.mutations import damaged
from toolkit.specimens import Specimen

Reader = Callable[[bytes], object]

_PATHS: Final = (
    (b"meta", b"iprp", b"ipco", b"colr"),
    (b"moov", b"trak", b"mdia", b"mdhd"),
    (b"moov", b"trak", b"edts", b"elst"),
)


def _all(parts: Iterable[object], data: bytes) -> list[object]:
    """All parts; there must be no more of them than bytes."""
    found = []
    for part in parts:
        found.append(part)
        assert len(found) <= len(data), "more parts than bytes"
    return found


def _payloads(data: bytes) -> list[bytes]:
    return [data[one.start : one.stop] for one in jpeg.walk(BytesIO(data))]


def _thinned_again(data: bytes) -> None:
    thin, _ = jpeg.thinned(BytesIO(data))
    assert jpeg.thinned(thin)[1] == 0, "more is left out the second time"


def _png_without(data: bytes) -> None:
    texts = {one.at for one in png.walk(BytesIO(data)) if one.kind == b"tEXt"}
    rest = png.without(BytesIO(data), texts)
    assert not any(one.kind == b"tEXt" for one in png.walk(rest)), "a chunk is still there"


def _tiff_again(data: bytes) -> None:
    found = tiff.read(BytesIO(data))
    # Fields of one tag are not put in order by reading them, only by writing.
    once = tiff.read(BytesIO(tiff.block(found)))
    assert tiff.read(BytesIO(tiff.block(once))) == once, "another directory after writing"


def _gif_again(data: bytes) -> None:
    found = gif.read(data)
    if not found.frames:
        return
    again = gif.read(gif.write((9, 9), found.frames, plays=found.plays))
    assert len(again.frames) == len(found.frames), "another number of frames after writing"


READERS: Final[dict[str, Reader]] = {
    "jpeg.walk": lambda data: _all(jpeg.walk(BytesIO(data)), data),
    "jpeg.thinned": _thinned_again,
    "jpeg.without_exif": jpeg.without_exif,
    "jpeg.behind": jpeg.behind,
    "jpeg.joined_exif": lambda data: jpeg.joined_exif(_payloads(data)),
    "jpeg.joined_icc": lambda data: jpeg.joined_icc(_payloads(data)),
    "jpeg.frame": lambda data: jpeg.frame(BytesIO(data)),
    "jpeg.samsung_trailer": lambda data: jpeg.samsung_trailer(BytesIO(data)),
    "jpeg.extended_xmp": lambda data: jpeg.extended_xmp(_payloads(data), bytes(32)),
    "photoshop.resources": lambda data: [
        _all(photoshop.resources(one.removeprefix(b"Photoshop 3.0\0")), data)
        for one in (data, *_payloads(data))
    ],
    "photoshop.paths": photoshop.paths,
    "png.walk": lambda data: _all(png.walk(BytesIO(data)), data),
    "png.chunks": lambda data: _all(png.chunks(data), data),
    "png.whole_chunks": lambda data: _all(png.whole_chunks(data), data),
    "png.before_pixels": lambda data: _all(png.before_pixels(BytesIO(data)), data),
    "png.without": _png_without,
    "isobmff.clean_aperture": lambda data: isobmff.clean_aperture(BytesIO(data), (64, 48)),
    "isobmff.walk": lambda data: _all(isobmff.walk(BytesIO(data)), data),
    "isobmff.cut_short": lambda data: _all(isobmff.walk(BytesIO(data), cut_short=True), data),
    "isobmff.find": lambda data: [
        _all(isobmff.find(BytesIO(data), *path), data) for path in _PATHS
    ],
    "isobmff.code_points": lambda data: isobmff.code_points(BytesIO(data)),
    "isobmff.av1_configuration": lambda data: isobmff.av1_configuration(BytesIO(data)),
    "isobmff.item_types": lambda data: _all(isobmff.item_types(BytesIO(data)), data),
    "isobmff.codestream": lambda data: isobmff.codestream(BytesIO(data)),
    "isobmff.plays": isobmff.plays,
    "isobmff.without_times": isobmff.without_times,
    "isobmff.icc_profile": lambda data: isobmff.icc_profile(BytesIO(data), 1_000),
    "isobmff.contents": lambda data: _all(
        isobmff.contents(BytesIO(data), {bytes(16)}, 1_000), data
    ),
    "tiff.read": _tiff_again,
    "tiff.places": lambda data: _all(tiff.places(BytesIO(data), limits.PAGES), data),
    "tiff.beginning_with_a_page": lambda data: tiff.beginning_with_a_page(BytesIO(data), 9),
    "tiff.extended": lambda data: tiff.extended(data, tiff.Directory("<")),
    "riff.chunk_ends": lambda data: _all(riff.chunk_ends(data), data),
    "riff.kinds": lambda data: _all(riff.kinds(BytesIO(data)), data),
    "riff.webp_pixels": lambda data: riff.webp_pixels(data[:30]),
    "gif.read": _gif_again,
    "gif.without_long_comments": lambda data: gif.without_long_comments(BytesIO(data)),
}


def problems(data: bytes) -> list[str]:
    """What goes wrong with any reader; a ValueError is an answer."""
    found = []
    for name, reader in READERS.items():
        try:
            reader(data)
        except ValueError:
            continue
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {error}")
    return found


def inputs(specimens: Sequence[Specimen], rng: Random) -> Iterator[tuple[bytes, str]]:
    """Damaged files without end, each with words for what was done to it."""
    while True:
        specimen = rng.choice(specimens)
        data, words = damaged(specimen, specimens, rng)
        yield data, f"{specimen.name}: {words}"
