"""From a file to a Picture, shrunk on load where that costs nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from msgspec import Struct
from msgspec.structs import replace
from PIL import Image

from imgbatch.errors import PictureError
from imgbatch.imaging import formats, memory, metadata, room
from imgbatch.imaging.metadata import embedded, exif
from imgbatch.imaging.modes import with_sane_profile
from imgbatch.imaging.opening import (
    Input,
    OnRead,
    Opened,
    Rules,
    name_of,
    opened,
    reading,
    recognised,
    short_of_memory,
)
from imgbatch.imaging.picture import (
    ANY_MODE,
    Box,
    Coding,
    Metadata,
    Picture,
    Series,
    in_colours,
    turned,
)
from imgbatch.model import MAX_PIXELS, Failure, Notice, NoticeKind, Size

if TYPE_CHECKING:
    from imgbatch.imaging.affine import Geometry
    from imgbatch.imaging.deep import Deep
    from imgbatch.imaging.metadata.dates import Captured
    from imgbatch.imaging.series.frames import Animation, Frame
    from imgbatch.imaging.series.pages import Pages

Need = Callable[[Size], Size]
"""From a picture's full upright size to the least size that all outputs can start from."""

# Errors that decoders raise when they get no memory.
_PERHAPS_MEMORY: Final = frozenset({"broken", "truncated", "no-codec"})

_MOST_BITS: Final = 16
_SALVAGED: Final[dict[str, tuple[NoticeKind, str]]] = {
    "truncated": (
        "truncated",
        "the file is cut short: what is missing of the picture was left blank",
    ),
    "damaged": (
        "damaged",
        "the file is damaged: a part of the picture is missing or wrong",
    ),
}
"""The kinds of failures of which something can be kept, and the warning then."""

# Copies of a profile while it is compared, converted and written.
_PROFILES: Final = 4

_FRAMES_FACTOR: Final = 16
"""All frames of a file together may have this many times the limit."""


class Header(Struct, frozen=True):
    """What a file tells without its pixels: its upright size, when and with what it was taken."""

    size: Size
    captured: Captured
    camera: str | None = None
    format: str = ""

    @property
    def date(self) -> str | None:
        """When it was taken, on the camera's clock, as in EXIF: `2024:05:31 18:20:05`."""
        return self.captured.moment.text if self.captured.moment else None


class Demand(Struct, frozen=True):
    """What decoding a picture takes: its upright size in the file, the upright size from the
    decoder, and the estimated peak of memory in bytes, including its pixels.

    `format` is the file's; `mode` is that of the pixels, or one that takes more; `frames` is how
    many will be decoded, one after the other. `beside` is what metadata and profile take all the
    time, as blocks and while they are edited.
    """

    full_size: Size
    decoded_size: Size
    bytes: int
    format: str = ""
    mode: str = ANY_MODE
    frames: int = 1
    beside: int = 0


Admit = Callable[[Demand], None]
"""Called before the pixels of a picture are decoded; raises anything to prevent that."""


_USUAL: Final = Rules()


def decode(path: str, need: Need, *, admit: Admit | None = None, **rules: Any) -> Picture:
    """The picture in `path`, or the first of several frames: see `pictures`, and `Rules`."""
    with closing(pictures(path, need, Rules(**rules), admit=admit)) as frames:
        return next(frames)


def decode_bytes(data: bytes, name: str) -> Picture:
    """The upright picture in the bytes of a file with this name, or the first of several frames.

    Raises PictureError in the stage "open" or "decode".
    """
    source = recognised(BytesIO(data), name, _USUAL)
    with reading("decode", _USUAL):
        unread = _Unread.of(source, lambda size: size, _USUAL)
    return unread.picture(_USUAL).upright()


def pictures(
    given: Input,
    need: Need,
    rules: Rules = _USUAL,
    *,
    admit: Admit | None = None,
    on_read: OnRead | None = None,
) -> Generator[Picture]:
    """Decode the picture in a file, at least as large as `need` asks; or all of its frames.

    It is not turned yet, but knows its orientation; its metadata say that it is upright. A JPEG
    is decoded at 1/2, 1/4 or 1/8 if that is enough (by libjpeg's scaled inverse DCT). Of
    several frames only the first is given unless the rules' `every` says otherwise; they come
    one by one, and composed: each as it is shown. With `salvage` a picture that is cut short or
    damaged is kept as far as it goes, with a warning. `admit` is called once, after the header and
    before any pixel; whatever it raises is passed on. `on_read` is given the checksum of the file,
    after the last frame.

    Raises PictureError in the stage "open" or "decode".
    """
    taken, begun, refused = 0, False, False

    def ask(demand: Demand) -> None:
        nonlocal taken, refused
        if admit is not None:
            refused = True
            admit(demand)
            refused = False
        taken = demand.bytes + demand.beside

    strict = replace(rules, salvage=False) if rules.salvage else rules
    try:
        for picture in _decoded(given, need, strict, ask, on_read):
            begun = True
            yield picture
    except PictureError as error:
        failure = error.failure
        if refused or failure.kind not in {*_PERHAPS_MEMORY, *_SALVAGED}:
            raise
    else:
        return
    # What the first attempt held, including its pixels, is freed by now.
    if not room.is_there(taken or _opening(given)):
        raise short_of_memory(failure.stage)
    # If even the header is cut short there are no pixels to keep.
    if begun or not (rules.salvage and taken and failure.kind in _SALVAGED):
        raise PictureError(failure.stage, failure.kind, failure.message)
    yield from _salvaged(given, need, rules, on_read, failure)


def _opening(given: Input) -> int:
    """Roughly how many bytes opening a file takes; what is in memory has taken them already."""
    return memory.opening(given) if isinstance(given, str) else 0


def _salvaged(
    given: Input, need: Need, rules: Rules, on_read: OnRead | None, failure: Failure
) -> Generator[Picture]:
    """What can be had of a damaged picture; raises its `failure` if there is nothing."""
    again = _decoded(given, need, rules, lambda demand: None, on_read)
    with closing(again) as rest:
        try:
            picture = next(rest)
        except PictureError:
            raise PictureError(failure.stage, failure.kind, failure.message) from None
        kind, message = _SALVAGED[failure.kind]
        if picture.series is not None and picture.series.kind == "animation":
            message = "the file is cut short: only its whole frames were kept"
        yield picture.with_notice(kind, message)
        yield from rest


def _decoded(
    given: Input, need: Need, rules: Rules, ask: Admit, on_read: OnRead | None
) -> Generator[Picture]:
    with opened(given, on_read) as file:
        source = recognised(file, given, rules)
        row, codec = source.row, source.codec
        with reading("decode", rules):
            # Counting frames reads the first one's header again: so that comes first.
            moving = codec.animation(source.image, source.file)
            pages = codec.pages(source.file)
            series = _series(moving, pages)
            every = series is not None and rules.every is not None and rules.every(row.name, series)
            first = _Unread.of(source, need, rules, moving)
            demand = first.demand(rules, series if every else None)
            if moving is not None:
                demand = replace(demand, bytes=demand.bytes + moving.bytes, mode="RGBA")
            if series is not None and every:
                if pages is None:
                    pixels = series.count * demand.full_size[0] * demand.full_size[1]
                    _check_pixels(pixels, series.count, "frames", rules)
                else:
                    demand = _largest(pages, name_of(given), need, rules, series)
        ask(demand)
        if moving is not None:
            for picture in _animated(first, moving, rules):
                yield replace(picture, series=series)
                if not every:
                    return
        elif pages is None or not every:
            picture = first.picture(rules)
            yield replace(picture, series=series) if series is not None else picture
        else:
            for number in range(len(pages)):
                page = _page(pages, number, name_of(given), need, rules)
                yield replace(page.picture(rules), series=series)


def _page(pages: Pages, number: int, path: str, need: Need, rules: Rules) -> _Unread:
    """What is known about a page, in a file with only that page."""
    with reading("decode", rules):
        data, lost = pages.alone(number)
        # `_largest` checks its size, with a message that says which page it is.
        unlimited = replace(rules, max_pixels=sys.maxsize)
        page = _Unread.of(recognised(BytesIO(data), path, unlimited), need, rules)
        page.notices += embedded.unreadable(lost)
    return page


class _Unread(Struct):
    """What is known about a picture, or a page, before its pixels are decoded."""

    source: Opened
    stored_size: Size
    full_size: Size
    area: Box
    found: metadata.Found
    orientation: int
    notices: tuple[Notice, ...]
    coding: Coding | None
    as_stored: bool
    turned_from: int
    wide: int
    deep: bool

    @classmethod
    def of(
        cls, source: Opened, need: Need, rules: Rules, moving: Animation | None = None
    ) -> _Unread:
        """Examine an opened image, and tell it how small it may be decoded."""
        image, row, codec, file, earlier = source
        wide = codec.lost_bits(image, file)
        deep = _reads_deep(source, rules) if wide and moving is None else False
        notices = codec.left_behind(image, file)
        # The size of an image according to EXIF can change with its orientation, so metadata come
        # first.
        found = metadata.found(image, codec, earlier + codec.uncarried(image, file))
        orientation = 1 if codec.upright else found.orientation
        stored_size = image.size
        full_size = turned(stored_size, orientation)
        return cls(
            source=source,
            stored_size=stored_size,
            full_size=full_size,
            coding=codec.coding(image, orientation) if moving is None else None,
            as_stored=row.becomes is None and not codec.is_turned(image),
            # Once loaded, some images forget it.
            turned_from=codec.turned_from(image) if codec.upright else 1,
            area=_shrink_on_load(source, turned(need(full_size), orientation)),
            found=found,
            orientation=orientation,
            notices=notices,
            wide=wide,
            deep=deep,
        )

    def demand(self, rules: Rules, series: Series | None) -> Demand:
        """What decoding it takes, as one of a series or alone."""
        image, row, codec, file, _ = self.source
        mode = memory.mode_of(image, codec, deep=self.deep)
        icc = image.info.get("icc_profile") or b""
        # Grey under a profile may be converted to colour; other files need not be searched for one.
        coloured = in_colours(mode)
        if mode != coloured and (icc or codec.may_colour_grey(image, file)):
            mode = coloured
        # What the image is decoded from: the file, or a preview inside it.
        data: BinaryIO = getattr(image, "fp", None) or file
        return Demand(
            self.full_size,
            turned(image.size, self.orientation),
            memory.decoding(image, codec, self.stored_size, data, deep=self.deep),
            row.name,
            mode,
            series.count if series is not None else 1,
            self.found.working_bytes(rules.metadata, dates=rules.dates) + _PROFILES * len(icc),
        )

    def picture(self, rules: Rules) -> Picture:
        image, _, codec, file, _ = self.source
        with reading("decode", rules, self.source):
            image = codec.loadable(image, file)
            icc, of_colour = codec.profile(image, file, self.found.exif)
            if self.deep:
                pixels, more = codec.deep_pixels(image, file)
            else:
                pixels, more = codec.pixels(image, file, salvage=rules.salvage)
            whole = codec.with_all_metadata(image, file)
            if whole is not None:
                self.read_again(whole)
            return self._made(pixels, image, icc, rules, of_colour, more)

    def read_again(self, image: Image.Image) -> None:
        """Take the metadata from a loaded image, which knows them all."""
        codec, before = self.source.codec, self.found.notices
        self.found = metadata.found(image, codec, before)
        self.orientation = 1 if codec.upright else self.found.orientation
        self.full_size = turned(self.stored_size, self.orientation)

    def composed(self, frame: Frame, whole: Image.Image | None, rules: Rules) -> Picture:
        """The first frame of an animation; `whole` is a still with all that the file tells."""
        image, _, codec, file, _ = self.source
        icc, of_colour = codec.profile(image, file, self.found.exif)
        if whole is not None:
            self.read_again(whole)
        made = self._made(frame.image, frame.image, icc, rules, of_colour, ())
        return replace(made, duration=frame.duration)

    def _geometry(self, kept: Metadata) -> Geometry | None:
        """What moved so far, if the metadata may tell places in the picture."""
        if not metadata.tells_places(kept):
            return None
        from imgbatch.imaging import affine

        upright = self.source.codec.upright
        return affine.Geometry.of(self.full_size, self.turned_from if upright else self.orientation)

    def _made(
        self,
        pixels: Image.Image | Deep,
        image: Image.Image,
        icc: bytes | None,
        rules: Rules,
        of_colour: tuple[Notice, ...],
        more: tuple[Notice, ...],
    ) -> Picture:
        row = self.source.row
        kept, lost = self.found.settled(rules.metadata, dates=rules.dates)
        notices = self.notices + lost + of_colour
        if self.wide and not self.deep:
            notices += (_reduced(self.wide, self.source.image),)
        made = Picture(
            pixels=pixels,
            format=row.becomes or row.name,
            full_size=self.full_size,
            area=self.area,
            orientation=self.orientation,
            icc=icc,
            metadata=kept,
            notices=notices + more,
            coding=self.coding,
            as_stored=self.as_stored,
            geometry=self._geometry(kept) if kept.exif or kept.xmp or kept.paths else None,
            bits=min(self.wide or _MOST_BITS, _MOST_BITS),
        )
        return with_sane_profile(made, image.mode)


def _animated(undecoded: _Unread, moving: Animation, rules: Rules) -> Iterator[Picture]:
    """The frames of an animation; what travels with them is the same for all."""
    if not moving.complete and not rules.salvage:
        raise PictureError("decode", "truncated", "the file is cut short: a frame is missing")
    composed = moving.composed()
    first: Picture | None = None
    while True:
        # Not around the yield: Pillow's settings are process-wide.
        with reading("decode", rules):
            frame = next(composed, None)
            if frame is None:
                return
            if first is None:
                first = undecoded.composed(frame, moving.whole(), rules)
                if moving.still_beside:
                    message = "the still picture outside the animation was dropped"
                    first = first.with_notice("gain-map-dropped", message)
                made = first
            else:
                made = replace(first, pixels=frame.image, duration=frame.duration, notices=())
                made = with_sane_profile(made, frame.image.mode)
        yield made


def _check_pixels(pixels: int, count: int, what: str, rules: Rules) -> None:
    """Raise PictureError if all frames together are too many pixels for anybody."""
    if pixels > rules.max_pixels * _FRAMES_FACTOR:
        raise PictureError(
            "open",
            "too-large",
            f"{count} {what} with {pixels:,} pixels together exceed "
            f"{_FRAMES_FACTOR} times the limit of {rules.max_pixels:,}",
        )


def _largest(pages: Pages, path: str, need: Need, rules: Rules, series: Series) -> Demand:
    """The demand of pages that may differ: as if all were as large as the largest."""
    demand: Demand | None = None
    pixels = 0
    for number in range(len(pages)):
        page = _page(pages, number, path, need, rules)
        width, height = page.stored_size
        if width * height > rules.max_pixels:
            raise PictureError(
                "open",
                "too-large",
                f"page {number + 1} with {width} x {height} pixels exceeds the limit of "
                f"{rules.max_pixels:,}",
            )
        pixels += width * height
        _check_pixels(pixels, number + 1, "pages", rules)
        other = page.demand(rules, series)
        demand = demand or other
        larger = max(demand, other, key=lambda one: one.decoded_size[0] * one.decoded_size[1])
        demand = replace(
            larger,
            bytes=max(demand.bytes, other.bytes),
            mode=demand.mode if demand.mode == other.mode else ANY_MODE,
            beside=demand.beside + other.beside if number else other.beside,
        )
    assert demand is not None
    return demand


class NotAllowedError(Exception):
    """The caller did not allow a header to be read."""


def read_header(
    given: Input, max_pixels: int = MAX_PIXELS, *, allow: Callable[[int], bool] = lambda taken: True
) -> Header:
    """Read the upright size, the date of capture and the camera of a file; decode nothing.

    If a C library reads even the header, `allow` is asked first, with the bytes of memory that
    takes. Raises NotAllowedError if it declines, and PictureError in the stage "open".
    """
    # Only names and numbers ask when a picture was taken.
    from imgbatch.imaging.metadata import dates

    rules = Rules(max_pixels)
    with opened(given) as file:
        suffix = os.path.splitext(name_of(given))[1].lower()
        row = formats.recognise(file.read(formats.HEAD_BYTES), suffix)
        if row is not None and row.opened_in_c and not allow(_opening(given)):
            raise NotAllowedError
        file.seek(0)
        image, row, codec, _, _ = recognised(file, given, rules)
        with reading("open", rules):
            block, orientation = metadata.header(image, codec)
            captured = dates.captured(
                block, lambda: embedded.packet(image, codec)[0], lambda: codec.iptc(image)
            )
    size = turned(image.size, 1 if codec.upright else orientation)
    return Header(size, captured, block.text(exif.MODEL) if block else None, row.name)


def _shrink_on_load(source: Opened, least: Size) -> Box:
    """Ask the decoder for fewer pixels; return the part of them that is the whole picture."""
    width, height = source.image.size
    given = source.codec.draft(source.image, least)
    # Odd sizes are rounded up, so the exact scale is the one that gives this size.
    for scale in (1, 2, 4, 8):
        if given == (-(-width // scale), -(-height // scale)):
            return (0, 0, width / scale, height / scale)
    return (0, 0, *given)


def _reads_deep(source: Opened, rules: Rules) -> bool:
    """Whether all bits of a channel can be read, for which Pillow has no mode.

    Only Pillow returns a part of a file that is cut short.
    """
    if rules.salvage or not formats.installed("deep"):
        return False
    return source.codec.reads_deep(source.image, source.file)


def _reduced(bits: int, image: Image.Image) -> Notice:
    """The warning that Pillow took 8 bits of each channel."""
    # There is no mode for CMYK with more than 8 bits.
    remedy = "" if image.mode == "CMYK" else " (imgbatch[deep] keeps them)"
    if remedy and formats.installed("deep"):
        remedy = ""
    return Notice("depth-reduced", f"{bits} bits per channel were reduced to 8{remedy}")


def _series(moving: Animation | None, pages: Pages | None) -> Series | None:
    """The kind of series in the file, if it has several frames."""
    if moving is not None:
        return Series("animation", moving.count, moving.plays) if moving.count > 1 else None
    return Series("pages", len(pages)) if pages is not None else None
