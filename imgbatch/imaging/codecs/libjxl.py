"""libjxl, as far as the codec for JPEG XL needs it: bytes in, arrays out, and back.

No parallel runner is set, so everything happens in the calling thread. `libjxl_api` says which
library it is.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from ctypes import c_size_t, c_void_p
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from imgbatch.imaging import limits
from imgbatch.imaging.codecs import libjxl_api as api
from imgbatch.model import Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLUSHED: Final = -1
"""An event of our own: a part of a frame was decoded."""

_PIECE_BYTES: Final = 1 << 20
_BOX_BYTES: Final = 1 << 16

# Decoding


class Header(Struct, frozen=True, kw_only=True):
    """What a file says about its pixels, and the boxes that were asked for.

    `size` is upright. `bits` are those of a colour, in floats if it `has_floats`. `channels` are
    those of decoded pixels: 1 or 3 colours, and alpha; not the black of a file that `is_cmyk`.
    `dropped` are the types of other channels,
    which are neither decoded nor mixed into the colours (JxlExtraChannelType). `orientation` is
    what the pixels were turned from. An animation has a `tick` in milliseconds, and is shown
    `plays` times, 0 for ever; a still has none.

    `icc` is the profile of decoded pixels, None for sRGB. `points` are their primaries and transfer
    by ITU-T H.273 if the file names them. `boxes` has the first box of each wanted type, its
    content decompressed; `kinds` are the types of all.
    """

    size: Size
    bits: int
    has_floats: bool
    channels: int
    is_cmyk: bool
    dropped: tuple[int, ...]
    orientation: int
    tick: float
    plays: int
    icc: bytes | None
    points: tuple[int, int] | None
    boxes: dict[bytes, bytes] = field(default_factory=dict)
    kinds: frozenset[bytes] = frozenset()


class Frame(NamedTuple):
    """The pixels (height, width, channels) of a frame, and its duration in ticks."""

    array: NDArray[Any]
    ticks: int


class _Decoder:
    """A decoder for one file, which must be destroyed. It keeps the file's bytes alive."""

    def __init__(self, data: bytes, events: int) -> None:
        self._library = api.library()
        self._data = data
        self._pointer = self._library.JxlDecoderCreate(None)
        if not self._pointer:
            raise MemoryError("no memory for a decoder")
        self.call("SubscribeEvents", events)
        self.call("SetInput", data, len(data))

    def destroy(self) -> None:
        """Free all its memory."""
        self._library.JxlDecoderDestroy(self._pointer)

    def result(self, name: str, *arguments: Any) -> Any:
        """What a function of the decoder returns."""
        return getattr(self._library, f"JxlDecoder{name}")(self._pointer, *arguments)

    def succeeds(self, name: str, *arguments: Any) -> bool:
        """Whether a function of the decoder does."""
        return bool(self.result(name, *arguments) == api.SUCCESS)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the decoder. Raises ValueError if it fails."""
        if not self.succeeds(name, *arguments):
            raise ValueError(f"its decoder fails ({name})")

    def next(self, *, flush: bool = False) -> int:
        """The next event. Raises ValueError if the file is broken, EOFError if it is cut short.

        With `flush` it is `_FLUSHED` for a frame that is cut short, if there is anything of it.
        """
        event: int = self.result("ProcessInput")
        if event == api.NEED_MORE_INPUT:
            if flush and self.succeeds("FlushImage"):
                return _FLUSHED
            # Only now, because it turns this into an error. The last box may go on to the end.
            self.result("CloseInput")
            event = self.result("ProcessInput")
            if event in (api.ERROR, api.NEED_MORE_INPUT):
                raise EOFError("truncated: the file ends too early")
        if event == api.ERROR:
            raise ValueError("its codestream or its boxes are broken")
        return event


@contextmanager
def _decoding(data: bytes, events: int) -> Iterator[_Decoder]:
    decoder = _Decoder(data, events)
    try:
        yield decoder
    finally:
        decoder.destroy()


def header(data: bytes, most_bytes: Mapping[bytes, int]) -> Header:
    """The header of a file, and the boxes of the types that `most_bytes` has.

    Of a longer box there is at least one byte more than its number. Raises ValueError if the file
    is broken, EOFError if it is cut short before the colours are known.
    """
    found: Header | None = None
    boxes = _Boxes(most_bytes)
    try:
        for event, decoder in _events_of_header(data):
            if event == api.COLOR_ENCODING:
                found = _header(decoder)
            else:
                boxes.take(event, decoder)
    except (EOFError, ValueError):
        # What is behind the header is noticed again when pixels are decoded.
        if found is None:
            raise
    if found is None:
        raise ValueError("it has no codestream")
    return replace(found, boxes=boxes.found, kinds=frozenset(boxes.kinds))


def _events_of_header(data: bytes) -> Iterator[tuple[int, _Decoder]]:
    """The events before the pixels, and those of boxes, with the one at the end."""
    count = 0
    with _decoding(data, api.BASIC_INFO | api.COLOR_ENCODING | api.BOX) as decoder:
        decoder.call("SetDecompressBoxes", 1)
        # Otherwise it would say that there is nothing to turn.
        decoder.call("SetKeepOrientation", 1)
        while count <= limits.BOXES:
            event = decoder.next()
            yield event, decoder
            if event == api.SUCCESS:
                return
            count += event == api.BOX


class _Boxes:
    """Collects the contents of boxes."""

    def __init__(self, most_bytes: Mapping[bytes, int]) -> None:
        self._most_bytes = most_bytes
        self._kind = b""
        self._content = bytearray()
        self._piece = ctypes.create_string_buffer(_BOX_BYTES)
        self.found: dict[bytes, bytes] = {}
        self.kinds: set[bytes] = set()

    def take(self, event: int, decoder: _Decoder) -> None:
        """Take what an event tells about."""
        if event == api.BOX:
            self.end(decoder)
            self.begin(decoder)
        elif event == api.BOX_NEED_MORE_OUTPUT:
            self.more(decoder)
        elif event == api.SUCCESS:
            self.end(decoder)

    def begin(self, decoder: _Decoder) -> None:
        """Take the box that begins, if it is wanted."""
        kind = ctypes.create_string_buffer(4)
        decoder.call("GetBoxType", kind, 1)
        self.kinds.add(kind.raw)
        if kind.raw in self._most_bytes and kind.raw not in self.found:
            self._kind = kind.raw
            decoder.call("SetBoxBuffer", self._piece, _BOX_BYTES)

    def more(self, decoder: _Decoder) -> None:
        """Go on with a box that is longer, or leave it if it is too long."""
        self._take(decoder)
        if len(self._content) > self._most_bytes[self._kind]:
            self._done()
        else:
            decoder.call("SetBoxBuffer", self._piece, _BOX_BYTES)

    def end(self, decoder: _Decoder) -> None:
        """Keep the box that ended, if it was wanted."""
        if self._kind:
            self._take(decoder)
            self._done()

    def _take(self, decoder: _Decoder) -> None:
        unused = decoder.result("ReleaseBoxBuffer")
        self._content += memoryview(self._piece)[: max(0, _BOX_BYTES - unused)]

    def _done(self) -> None:
        self.found[self._kind] = bytes(self._content)
        self._kind = b""
        self._content = bytearray()


def _header(decoder: _Decoder) -> Header:
    """What is known once the colours are: the boxes are still missing."""
    info = api.BasicInfo()
    decoder.call("GetBasicInfo", info)
    extra = _extra_channels(decoder, info)
    _choose_colours(decoder, info)
    icc, points = _colours(decoder)
    size = (info.xsize, info.ysize)
    ticks = info.animation
    moving = bool(info.have_animation)
    if moving and not (ticks.tps_numerator and ticks.tps_denominator):
        raise ValueError("its animation has no unit of time")
    return Header(
        size=size[::-1] if info.orientation >= 5 else size,
        bits=info.bits_per_sample,
        has_floats=info.exponent_bits_per_sample > 0,
        channels=info.num_color_channels + (info.alpha_bits > 0),
        is_cmyk=api.BLACK in extra,
        dropped=tuple(one for one in extra if one not in (api.SPOT_COLOUR, api.BLACK)),
        orientation=info.orientation,
        tick=1000 * ticks.tps_denominator / ticks.tps_numerator if moving else 0,
        plays=ticks.num_loops if moving else 1,
        icc=icc,
        points=points,
    )


def _extra_channels(decoder: _Decoder, info: api.BasicInfo) -> list[int]:
    """The types of channels beside the colours and the first alpha."""
    found = []
    channel = api.ExtraChannelInfo()
    for number in range(info.num_extra_channels):
        decoder.call("GetExtraChannelInfo", number, channel)
        found.append(channel.type)
    if info.alpha_bits and api.ALPHA in found:
        found.remove(api.ALPHA)
    return found


def _choose_colours(decoder: _Decoder, info: api.BasicInfo) -> None:
    """Ask for pixels in the file's own profile.

    Left to itself, libjxl gives what it has in colours of its own (XYB) in sRGB, which is smaller.
    """
    if info.uses_original_profile:
        return
    named = api.ColorEncoding()
    if decoder.succeeds("GetColorAsEncodedProfile", 0, named):
        decoder.result("SetPreferredColorProfile", named)
        return
    own = _icc(decoder, 0)
    decoder.call("SetCms", api.library().JxlGetDefaultCms().contents)
    # Otherwise they stay in sRGB.
    decoder.result("SetOutputColorProfile", None, own, len(own))


def _srgb(*, grey: bool) -> api.ColorEncoding:
    encoding = api.ColorEncoding()
    api.library().JxlColorEncodingSetToSRGB(encoding, grey)
    return encoding


def _colours(decoder: _Decoder) -> tuple[bytes | None, tuple[int, int] | None]:
    """The profile of decoded pixels, None for sRGB, and their code points if they have some."""
    named = api.ColorEncoding()
    if not decoder.succeeds("GetColorAsEncodedProfile", api.DATA, named):
        return _icc(decoder, api.DATA) or None, None
    white, primaries = named.white_point, named.primaries
    if named.color_space == api.GREY:
        # Grey is as white as the paper.
        white, primaries = api.SRGB[:2]
    if (white, primaries, named.transfer_function) == api.SRGB:
        return None, (primaries, named.transfer_function)
    return _icc(decoder, api.DATA) or None, (primaries, named.transfer_function)


def _icc(decoder: _Decoder, target: int) -> bytes:
    """A profile; empty if there is none, or if it is longer than is read."""
    size = c_size_t()
    if not decoder.succeeds("GetICCProfileSize", target, size) or size.value > limits.ICC_BYTES:
        return b""
    buffer = ctypes.create_string_buffer(size.value)
    if not decoder.succeeds("GetColorAsICCProfile", target, buffer, size.value):
        return b""
    return buffer.raw


def frame_count(data: bytes) -> tuple[int, bool]:
    """How many frames begin in a file, and whether these are all. Decodes none of them.

    Raises ValueError if it is broken.
    """
    count = 0
    with _decoding(data, api.FRAME) as decoder:
        try:
            while decoder.next() != api.SUCCESS:
                count += 1
        except EOFError:
            return count, False
    return count, True


def frames(
    data: bytes, about: Header, dtype: type[np.generic], *, salvage: bool = False
) -> Iterator[Frame]:
    """The frames of a file, each composed and upright, alpha not premultiplied.

    Levels fill the range of `dtype` (uint8, uint16), or are parts of 1 (float32). With `salvage`
    the last frame may be incomplete. Raises ValueError if the file is broken, EOFError if it is cut
    short.
    """
    layout = api.PixelFormat(about.channels, api.DATA_TYPES[np.dtype(dtype).char], 0, 0)
    length, info = c_size_t(), api.FrameHeader()
    array: NDArray[Any] | None = None
    with _decoding(data, api.COLOR_ENCODING | api.FRAME | api.FULL_IMAGE) as decoder:
        decoder.call("SetUnpremultiplyAlpha", 1)
        while (event := decoder.next(flush=salvage and array is not None)) != api.SUCCESS:
            if event == api.COLOR_ENCODING:
                basic = api.BasicInfo()
                decoder.call("GetBasicInfo", basic)
                _choose_colours(decoder, basic)
            elif event == api.FRAME:
                decoder.call("GetFrameHeader", info)
            elif event == api.NEED_IMAGE_OUT_BUFFER:
                array = np.zeros((about.size[1], about.size[0], about.channels), dtype)
                decoder.call("ImageOutBufferSize", layout, length)
                if length.value != array.nbytes:
                    raise ValueError("its pixels are not of the size in its header")
                decoder.call("SetImageOutBuffer", layout, array.ctypes.data, array.nbytes)
            elif event in (api.FULL_IMAGE, _FLUSHED) and array is not None:
                yield Frame(array, info.duration)
                if event == _FLUSHED:
                    return
                array = None


def whole_frames(data: bytes, about: Header) -> int:
    """How many frames can be decoded. Raises ValueError if the file is broken."""
    count = 0
    try:
        for _ in frames(data, about, np.uint8):
            count += 1
    except EOFError:
        pass
    return count


def reconstructed(data: bytes, most_bytes: int) -> bytes | None:
    """The JPEG that a file was made of, byte for byte; None if it cannot be reconstructed.

    Nor if it has more than `most_bytes`. Raises ValueError if the file is broken, EOFError if it is
    cut short.
    """
    with _decoding(data, api.JPEG_RECONSTRUCTION | api.FULL_IMAGE) as decoder:
        if decoder.next() != api.JPEG_RECONSTRUCTION:
            return None
        out, used = ctypes.create_string_buffer(min(2 * len(data), most_bytes)), 0
        while True:
            decoder.call("SetJPEGBuffer", ctypes.byref(out, used), len(out) - used)
            event = decoder.next()
            used = len(out) - decoder.result("ReleaseJPEGBuffer")
            if event != api.JPEG_NEED_MORE_OUTPUT:
                return out.raw[:used] if event == api.FULL_IMAGE else None
            if len(out) >= most_bytes:
                return None
            # It writes nothing until there is room for all of it.
            larger = ctypes.create_string_buffer(min(2 * len(out), most_bytes))
            ctypes.memmove(larger, out, used)
            out = larger


# Encoding


class Wanted(NamedTuple):
    """How to encode: the `distance` (0 is lossless), and the effort from 1 to 9.

    Without a profile it is sRGB. `boxes` are pairs of a type and a content.
    """

    distance: float
    effort: int
    icc: bytes | None = None
    boxes: tuple[tuple[bytes, bytes], ...] = ()


class _Encoder:
    """An encoder for one file, which must be destroyed."""

    def __init__(self) -> None:
        self._library = api.library()
        self._pointer = self._library.JxlEncoderCreate(None)
        if not self._pointer:
            raise MemoryError("no memory for an encoder")
        # It belongs to the encoder, and is freed with it.
        self.settings = self._library.JxlEncoderFrameSettingsCreate(self._pointer, None)

    def destroy(self) -> None:
        """Free all its memory."""
        self._library.JxlEncoderDestroy(self._pointer)

    def call(self, name: str, *arguments: Any, of: int | None = None) -> None:
        """Call a function of the encoder, or `of` its settings. Raises ValueError if it fails."""
        function = getattr(self._library, f"JxlEncoder{name}")
        self._check(function(self._pointer if of is None else of, *arguments), name)

    def output(self) -> bytes:
        """The whole file, once everything was added."""
        out = bytearray()
        piece = ctypes.create_string_buffer(_PIECE_BYTES)
        while True:
            place, room = c_void_p(ctypes.addressof(piece)), c_size_t(_PIECE_BYTES)
            status = self._library.JxlEncoderProcessOutput(self._pointer, place, room)
            out += memoryview(piece)[: _PIECE_BYTES - room.value]
            if status != api.ENCODER_NEEDS_MORE_OUTPUT:
                self._check(status, "ProcessOutput")
                return bytes(out)

    def _check(self, status: int | None, name: str) -> None:
        if not status:
            return
        error = self._library.JxlEncoderGetError(self._pointer)
        if error == api.OUT_OF_MEMORY:
            raise MemoryError(f"{name} gets no memory")
        raise ValueError(f"{name} fails (error {error})")


@contextmanager
def _encoding() -> Iterator[_Encoder]:
    encoder = _Encoder()
    try:
        yield encoder
    finally:
        encoder.destroy()


def distance(quality: float) -> float:
    """libjxl's measure of loss for a quality from 1 to 100, which is like that of a JPEG."""
    # 100 would be lossless, which is a setting of its own.
    found: float = api.library().JxlEncoderDistanceFromQuality(quality)
    return max(found, 0.1)


def encoded(images: Iterable[Frame], wanted: Wanted, *, plays: int | None = None) -> bytes:
    """A file of arrays (height, width, channels) of uint8 or uint16, all alike.

    Grey or RGB, with or without alpha. It is an animation in ticks of a millisecond if it is to be
    shown `plays` times. Raises ValueError or MemoryError.
    """
    with _encoding() as encoder:
        settings = encoder.settings
        begun = False
        for image in images:
            array = np.ascontiguousarray(image.array)
            if not begun:
                _begin(encoder, array, wanted, plays)
                begun = True
            if plays is not None:
                info = api.FrameHeader()
                api.library().JxlEncoderInitFrameHeader(info)
                info.duration = image.ticks
                encoder.call("SetFrameHeader", info, of=settings)
            layout = api.PixelFormat(array.shape[2], api.DATA_TYPES[array.dtype.char], 0, 0)
            pixels = array.ctypes.data
            encoder.call("AddImageFrame", layout, pixels, array.nbytes, of=settings)
        encoder.call("CloseInput")
        return encoder.output()


def _begin(encoder: _Encoder, array: NDArray[Any], wanted: Wanted, plays: int | None) -> None:
    """Tell an encoder all that holds for the whole file."""
    lossless = wanted.distance == 0
    height, width, channels = array.shape
    alpha = channels in (2, 4)
    info = api.BasicInfo()
    api.library().JxlEncoderInitBasicInfo(info)
    info.xsize, info.ysize = width, height
    info.bits_per_sample = 8 * array.itemsize
    info.num_color_channels = channels - alpha
    info.num_extra_channels = int(alpha)
    info.alpha_bits = 8 * array.itemsize if alpha else 0
    info.uses_original_profile = lossless
    if plays is not None:
        info.have_animation = 1
        info.animation = api.AnimationHeader(1000, 1, plays, 0)
    if wanted.boxes:
        encoder.call("UseBoxes")
    encoder.call("SetBasicInfo", info)
    if wanted.icc is None:
        encoder.call("SetColorEncoding", _srgb(grey=channels < 3))
    else:
        encoder.call("SetICCProfile", wanted.icc, len(wanted.icc))
    settings = encoder.settings
    encoder.call("FrameSettingsSetOption", api.EFFORT, wanted.effort, of=settings)
    if lossless:
        encoder.call("SetFrameLossless", 1, of=settings)
    else:
        encoder.call("SetFrameDistance", wanted.distance, of=settings)
        if alpha:
            encoder.call("SetExtraChannelDistance", 0, 0.0, of=settings)
            # libjxl would put black where nothing is seen, and mix it with what is.
            encoder.call("FrameSettingsSetOption", api.KEEP_INVISIBLE, 1, of=settings)
    for kind, content in wanted.boxes:
        encoder.call("AddBox", kind, content, len(content), 0)
    encoder.call("CloseBoxes")


def recompressed(jpeg: bytes, effort: int) -> bytes | None:
    """A file that a JPEG can be had from again; None if libjxl cannot do that for this one."""
    with _encoding() as encoder:
        settings = encoder.settings
        try:
            encoder.call("FrameSettingsSetOption", api.EFFORT, effort, of=settings)
            encoder.call("StoreJPEGMetadata", 1)
            encoder.call("AddJPEGFrame", jpeg, len(jpeg), of=settings)
            encoder.call("CloseInput")
            return encoder.output()
        except ValueError:
            return None
