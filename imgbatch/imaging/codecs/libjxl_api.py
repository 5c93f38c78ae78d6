"""The C API of libjxl: its structures and functions, and where they are found.

Packages for JPEG XL leave out too much of it: profiles (imagecodecs, which also takes colours of 16
bits for linear ones; pylibjxl), metadata, durations, headers without pixels. So its own functions
are called, those of its stable API (jxl/decode.h, jxl/encode.h and the headers these include, of
version 0.11; 0.9 is the first with all of them). The library is the one in imagecodecs' wheel: the
extension module for JPEG XL is opened as the shared library that it is, which finds the functions
in the libraries that it is linked to, whatever those are called. The wheels for Windows have it
built in, where nobody can call it; then the system's library is used, if it is new enough.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator, Mapping
from ctypes import (
    POINTER,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int64,
    c_size_t,
    c_uint32,
    c_void_p,
)
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

_OLDEST: Final = 9_000
"""Version 0.9.0, as the library counts."""

# jxl/types.h, jxl/codestream_header.h, jxl/color_encoding.h and jxl/cms_interface.h. What an
# enumeration can be is a C int.


class PixelFormat(ctypes.Structure):
    """JxlPixelFormat: how pixels are laid out in memory."""

    _fields_ = (
        ("num_channels", c_uint32),
        ("data_type", c_int),
        ("endianness", c_int),
        ("align", c_size_t),
    )


class AnimationHeader(ctypes.Structure):
    """JxlAnimationHeader: ticks in a second, and how often it is played."""

    _fields_ = (
        ("tps_numerator", c_uint32),
        ("tps_denominator", c_uint32),
        ("num_loops", c_uint32),
        ("have_timecodes", c_int),
    )


class BasicInfo(ctypes.Structure):
    """JxlBasicInfo: what a codestream's header says, or is to say. 204 bytes."""

    _fields_ = (
        ("have_container", c_int),
        ("xsize", c_uint32),
        ("ysize", c_uint32),
        ("bits_per_sample", c_uint32),
        ("exponent_bits_per_sample", c_uint32),
        ("intensity_target", c_float),
        ("min_nits", c_float),
        ("relative_to_max_display", c_int),
        ("linear_below", c_float),
        ("uses_original_profile", c_int),
        ("have_preview", c_int),
        ("have_animation", c_int),
        ("orientation", c_int),
        ("num_color_channels", c_uint32),
        ("num_extra_channels", c_uint32),
        ("alpha_bits", c_uint32),
        ("alpha_exponent_bits", c_uint32),
        ("alpha_premultiplied", c_int),
        ("preview", c_uint32 * 2),
        ("animation", AnimationHeader),
        ("intrinsic_xsize", c_uint32),
        ("intrinsic_ysize", c_uint32),
        ("padding", ctypes.c_uint8 * 100),
    )


class ExtraChannelInfo(ctypes.Structure):
    """JxlExtraChannelInfo: what a channel beside the colours is."""

    _fields_ = (
        ("type", c_int),
        ("bits_per_sample", c_uint32),
        ("exponent_bits_per_sample", c_uint32),
        ("dim_shift", c_uint32),
        ("name_length", c_uint32),
        ("alpha_premultiplied", c_int),
        ("spot_color", c_float * 4),
        ("cfa_channel", c_uint32),
    )


class _BlendInfo(ctypes.Structure):
    _fields_ = (
        ("blendmode", c_int),
        ("source", c_uint32),
        ("alpha", c_uint32),
        ("clamp", c_int),
    )


class _LayerInfo(ctypes.Structure):
    _fields_ = (
        ("have_crop", c_int),
        ("crop_x0", ctypes.c_int32),
        ("crop_y0", ctypes.c_int32),
        ("xsize", c_uint32),
        ("ysize", c_uint32),
        ("blend_info", _BlendInfo),
        ("save_as_reference", c_uint32),
    )


class FrameHeader(ctypes.Structure):
    """JxlFrameHeader: durations are in ticks."""

    _fields_ = (
        ("duration", c_uint32),
        ("timecode", c_uint32),
        ("name_length", c_uint32),
        ("is_last", c_int),
        ("layer_info", _LayerInfo),
    )


class ColorEncoding(ctypes.Structure):
    """JxlColorEncoding: a colour space without an ICC profile."""

    _fields_ = (
        ("color_space", c_int),
        ("white_point", c_int),
        ("white_point_xy", c_double * 2),
        ("primaries", c_int),
        ("primaries_red_xy", c_double * 2),
        ("primaries_green_xy", c_double * 2),
        ("primaries_blue_xy", c_double * 2),
        ("transfer_function", c_int),
        ("gamma", c_double),
        ("rendering_intent", c_int),
    )


class Cms(ctypes.Structure):
    """Eight pointers, which are only handed on."""

    _fields_ = (("pointers", c_void_p * 8),)


SUCCESS: Final = 0
ERROR: Final = 1
NEED_MORE_INPUT: Final = 2
NEED_IMAGE_OUT_BUFFER: Final = 5
JPEG_NEED_MORE_OUTPUT: Final = 6
BOX_NEED_MORE_OUTPUT: Final = 7
BASIC_INFO: Final = 0x40
COLOR_ENCODING: Final = 0x100
FRAME: Final = 0x400
FULL_IMAGE: Final = 0x1000
JPEG_RECONSTRUCTION: Final = 0x2000
BOX: Final = 0x4000
ENCODER_NEEDS_MORE_OUTPUT: Final = 2
OUT_OF_MEMORY: Final = 2
EFFORT: Final = 0
KEEP_INVISIBLE: Final = 12

DATA: Final = 1
"""The colours of decoded pixels (JXL_COLOR_PROFILE_TARGET_DATA)."""
DATA_TYPES: Final = {"f": 0, "B": 2, "H": 3}
"""By NumPy's characters for float32, uint8 and uint16."""

ALPHA: Final = 0
SPOT_COLOUR: Final = 2
BLACK: Final = 4

SRGB: Final = (1, 1, 13)
"""White point D65, primaries and transfer of sRGB."""
GREY: Final = 1

# The results and the arguments of functions; those of the decoder and the encoder begin with it.
_STATUS: Final[Mapping[str, tuple[Any, ...]]] = {
    "JxlDecoderSubscribeEvents": (c_int,),
    "JxlDecoderSetInput": (c_char_p, c_size_t),
    "JxlDecoderProcessInput": (),
    "JxlDecoderGetBasicInfo": (POINTER(BasicInfo),),
    "JxlDecoderGetExtraChannelInfo": (c_size_t, POINTER(ExtraChannelInfo)),
    "JxlDecoderGetColorAsEncodedProfile": (c_int, POINTER(ColorEncoding)),
    "JxlDecoderGetICCProfileSize": (c_int, POINTER(c_size_t)),
    "JxlDecoderGetColorAsICCProfile": (c_int, c_void_p, c_size_t),
    "JxlDecoderSetPreferredColorProfile": (POINTER(ColorEncoding),),
    "JxlDecoderSetOutputColorProfile": (POINTER(ColorEncoding), c_char_p, c_size_t),
    "JxlDecoderSetCms": (Cms,),
    "JxlDecoderSetKeepOrientation": (c_int,),
    "JxlDecoderSetUnpremultiplyAlpha": (c_int,),
    "JxlDecoderSetDecompressBoxes": (c_int,),
    "JxlDecoderSetBoxBuffer": (c_void_p, c_size_t),
    "JxlDecoderGetBoxType": (c_char_p, c_int),
    "JxlDecoderGetFrameHeader": (POINTER(FrameHeader),),
    "JxlDecoderImageOutBufferSize": (POINTER(PixelFormat), POINTER(c_size_t)),
    "JxlDecoderSetImageOutBuffer": (POINTER(PixelFormat), c_void_p, c_size_t),
    "JxlDecoderFlushImage": (),
    "JxlDecoderSetJPEGBuffer": (c_void_p, c_size_t),
    "JxlEncoderSetBasicInfo": (POINTER(BasicInfo),),
    "JxlEncoderSetColorEncoding": (POINTER(ColorEncoding),),
    "JxlEncoderSetICCProfile": (c_char_p, c_size_t),
    "JxlEncoderFrameSettingsSetOption": (c_int, c_int64),
    "JxlEncoderSetFrameDistance": (c_float,),
    "JxlEncoderSetFrameLossless": (c_int,),
    "JxlEncoderSetExtraChannelDistance": (c_size_t, c_float),
    "JxlEncoderSetFrameHeader": (POINTER(FrameHeader),),
    "JxlEncoderAddImageFrame": (POINTER(PixelFormat), c_void_p, c_size_t),
    "JxlEncoderAddJPEGFrame": (c_char_p, c_size_t),
    "JxlEncoderStoreJPEGMetadata": (c_int,),
    "JxlEncoderUseBoxes": (),
    "JxlEncoderAddBox": (c_char_p, c_char_p, c_size_t, c_int),
    "JxlEncoderProcessOutput": (POINTER(c_void_p), POINTER(c_size_t)),
    "JxlEncoderGetError": (),
}
_OTHERS: Final[Mapping[str, tuple[Any, tuple[Any, ...]]]] = {
    "JxlDecoderVersion": (c_uint32, ()),
    "JxlDecoderCreate": (c_void_p, (c_void_p,)),
    "JxlDecoderDestroy": (None, (c_void_p,)),
    "JxlDecoderCloseInput": (None, (c_void_p,)),
    "JxlDecoderReleaseBoxBuffer": (c_size_t, (c_void_p,)),
    "JxlDecoderReleaseJPEGBuffer": (c_size_t, (c_void_p,)),
    "JxlEncoderCreate": (c_void_p, (c_void_p,)),
    "JxlEncoderDestroy": (None, (c_void_p,)),
    "JxlEncoderInitBasicInfo": (None, (POINTER(BasicInfo),)),
    "JxlEncoderInitFrameHeader": (None, (POINTER(FrameHeader),)),
    "JxlEncoderFrameSettingsCreate": (c_void_p, (c_void_p, c_void_p)),
    "JxlEncoderCloseInput": (None, (c_void_p,)),
    "JxlEncoderCloseBoxes": (None, (c_void_p,)),
    "JxlEncoderDistanceFromQuality": (c_float, (c_float,)),
    "JxlColorEncodingSetToSRGB": (None, (POINTER(ColorEncoding), c_int)),
    "JxlGetDefaultCms": (POINTER(Cms), ()),
}


@cache
def library() -> ctypes.CDLL:
    """libjxl, at least 0.9. Raises ImportError, with words, if there is none that can be called."""
    found = []
    for path in _candidates():
        try:
            loaded = ctypes.CDLL(path)
            for name, arguments in _STATUS.items():
                _declare(loaded, name, c_int, (c_void_p, *arguments))
            for name, (result, arguments) in _OTHERS.items():
                _declare(loaded, name, result, arguments)
        except (OSError, AttributeError) as error:
            found.append(str(error))
            continue
        version = loaded.JxlDecoderVersion()
        if version >= _OLDEST:
            return loaded
        found.append(f"{path} is version 0.{version // 1000}")
    raise ImportError(f"no libjxl, at least 0.9, that can be called ({'; '.join(found) or 'none'})")


def _candidates() -> Iterator[str]:
    spec = find_spec("imagecodecs")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        yield from map(str, sorted(Path(folder).glob("_jpegxl.*")))
    system = ctypes.util.find_library("jxl")
    if system is not None:
        yield system


def _declare(loaded: ctypes.CDLL, name: str, result: Any, arguments: tuple[Any, ...]) -> None:
    function = getattr(loaded, name)
    function.restype, function.argtypes = result, arguments
