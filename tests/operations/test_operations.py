"""Every registered operation against float64 NumPy written from its documented definition.

A new operation needs a row in TONE, or, if it depends on more than colours, tests of its own.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import pytest
from toolkit.cases import together
from toolkit.reference import (
    MODES,
    NEAREST,
    Floats,
    Reference,
    Row,
    check,
    check_depth_reduced,
    check_refused,
    image_of,
    in_colour,
    levels_of_all_kinds,
    luma,
    mode_of,
    picture_of,
    planes_of,
    sixteen_bits,
)

from imgbatch.errors import PictureError, UsageError
from imgbatch.imaging.deep import Deep
from imgbatch.imaging.picture import Picture
from imgbatch.model import Failure
from imgbatch.operations import names, parameters_of, parse
from imgbatch.operations.base import Operation, register
from imgbatch.operations.detail import Sharpen
from imgbatch.operations.parameters import Kind, Parameter, parameter
from imgbatch.operations.point import PointOperation, joined


def _brightness(amount: float) -> Reference:
    return lambda colours: colours * amount


def _contrast(amount: float) -> Reference:
    return lambda colours: (colours - 127.5) * amount + 127.5


def _gamma(amount: float) -> Reference:
    return lambda colours: 255 * (colours / 255) ** (1 / amount)


def _invert(amount: float) -> Reference:
    return lambda colours: colours * (1 - amount) + (255 - colours) * amount


def _stretched(colours: Floats, ends: Floats, cutoff: float) -> Floats:
    """With at most `cutoff` per cent of the pixels of `ends` clipped at either end."""
    ordered = np.sort(ends, axis=None)
    clipped = math.floor(len(ordered) * cutoff / 100)
    low, high = ordered[clipped], ordered[-1 - clipped]
    return cast(Floats, (colours - low) / (high - low) * 255)


def _autocontrast(cutoff: float) -> Reference:
    return lambda colours: _stretched(colours, luma(colours), cutoff)


def _autocontrast_by_channel(cutoff: float) -> Reference:
    def reference(colours: Floats) -> Floats:
        bands = [colours[:, :, [band]] for band in range(colours.shape[2])]
        return np.concatenate([_stretched(band, band, cutoff) for band in bands], axis=2)

    return reference


def _mixed(amount: float, full: list[list[float]]) -> Reference:
    """`amount` of the way from the identity to the matrix `full`."""
    matrix = amount * np.array(full) + (1 - amount) * np.eye(3)
    return lambda colours: np.einsum("yxc,dc->yxd", in_colour(colours), matrix)


SEPIA: Final = [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]]
NO_COLOUR: Final = [[0.213, 0.715, 0.072]] * 3


def _saturation(amount: float) -> Reference:
    mixed = _mixed(1 - amount, NO_COLOUR)
    return lambda colours: colours if colours.shape[2] == 1 else mixed(colours)


TONE: Final = (
    Row("brightness", _brightness(1.1)),
    Row("brightness:amount=0", _brightness(0)),
    Row("brightness:amount=0.55", _brightness(0.55)),
    Row("brightness:amount=10", _brightness(10)),
    Row("contrast", _contrast(1.1)),
    Row("contrast:amount=0", _contrast(0)),
    Row("contrast:amount=0.6", _contrast(0.6)),
    Row("contrast:amount=10", _contrast(10)),
    Row("gamma", _gamma(1.2)),
    Row("gamma:amount=0.1", _gamma(0.1)),
    Row("gamma:amount=2.2", _gamma(2.2)),
    Row("gamma:amount=10", _gamma(10)),
    Row("invert", _invert(1)),
    Row("invert:amount=0.25", _invert(0.25)),
    Row("autocontrast", _autocontrast(0.5)),
    Row("autocontrast:cutoff=0", _autocontrast(0)),
    Row("autocontrast:cutoff=12.5", _autocontrast(12.5)),
    Row("autocontrast:cutoff=2,channels=yes", _autocontrast_by_channel(2)),
    Row("grayscale", luma, to_srgb=True),
    Row("sepia", _mixed(1, SEPIA), to_srgb=True),
    Row("sepia:amount=0.4", _mixed(0.4, SEPIA), to_srgb=True),
    Row("saturation", _saturation(1.2)),
    Row("saturation:amount=0", _saturation(0)),
    Row("saturation:amount=10", _saturation(10)),
)

# Settings with which an operation changes nothing; None if there are none.
NEUTRAL: Final = {
    "autocontrast": None,
    "brightness": "brightness:amount=1",
    "contrast": "contrast:amount=1",
    "gamma": "gamma:amount=1",
    "grayscale": None,
    "invert": "invert:amount=0",
    "saturation": "saturation:amount=1",
    "sepia": "sepia:amount=0",
}

WORDS: Final = tuple(row.words for row in TONE)


@pytest.mark.slow
@together("mode", MODES)
@pytest.mark.parametrize("row", TONE, ids=lambda row: row.words)
def test_tone_operation_matches_its_definition_and_keeps_alpha(row: Row, mode: str) -> None:
    check(row, mode)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grayscale_leaves_a_grey_picture_unchanged(mode: str) -> None:
    picture = picture_of(mode)
    assert parse("grayscale").apply(picture) is picture


@pytest.mark.parametrize(
    ("cutoff", "stretched"),
    [
        # Of ten pixels none or one may be clipped at each end: from 0 to 200, or from 40 to 170.
        (0, [0, 51, 64, 89, 102, 128, 153, 191, 217, 255]),
        (10, [0, 0, 20, 59, 78, 118, 157, 216, 255, 255]),
    ],
)
def test_autocontrast_clips_exactly_the_allowed_share(cutoff: int, stretched: list[int]) -> None:
    pixels = np.array([[0], [40], [50], [70], [80], [100], [120], [150], [170], [200]], np.uint8)
    after = parse(f"autocontrast:cutoff={cutoff}").apply(Picture.of(image_of("L", pixels[None])))
    assert planes_of(after.image).ravel().tolist() == stretched


def test_autocontrast_leaves_full_range_and_flat_pictures_alone() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    flat = np.full((16, 16, 1), 77, np.uint8)
    for pixels in (every, flat):
        after = parse("autocontrast:cutoff=0").apply(Picture.of(image_of("L", pixels)))
        assert np.array_equal(planes_of(after.image), pixels)


@pytest.mark.parametrize(
    "row",
    [row for row in TONE if row.name not in ("grayscale", "saturation")],
    ids=lambda r: r.words,
)
def test_16_bit_grey_is_processed_in_8_bits_with_a_warning(row: Row) -> None:
    check_depth_reduced(row.words, row.reference)


@pytest.mark.parametrize("words", ["grayscale", "saturation", "saturation:amount=0"])
def test_16_bit_grey_keeps_its_depth_if_nothing_is_done(words: str) -> None:
    picture = sixteen_bits()
    assert parse(words).apply(picture) is picture


@pytest.mark.parametrize("row", TONE, ids=lambda row: row.words)
def test_cmyk_is_processed_in_rgb(row: Row) -> None:
    inks = levels_of_all_kinds(4)
    after = parse(row.words).apply(Picture.of(image_of("CMYK", inks)))
    paper = 255 - inks.astype(np.float64)
    expected = np.clip(row.reference(np.rint(paper[:, :, :3] * paper[:, :, 3:] / 255)), 0, 255)
    assert after.image.mode == mode_of(expected.shape[2], alpha=False)
    assert np.abs(planes_of(after.image) - expected).max() <= NEAREST
    assert (after.icc, after.notices) == (None, ())


# Profiles

_P3_TO_XYZ: Final = (
    (0.515102, 0.291965, 0.157153),
    (0.241182, 0.692236, 0.066582),
    (-0.001049, 0.041882, 0.784378),
)
_XYZ_TO_SRGB: Final = (
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)
_GAMMA_IN_256THS: Final = 563


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65_536))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A version 2 display profile (ICC.1:2001-04), its tags' data padded to four bytes."""
    white = b"XYZ " + bytes(4) + b"".join(map(_fixed, (0.9642, 1.0, 0.8249)))
    table, data = b"", b""
    start = 128 + 4 + 12 * (len(tags) + 1)
    for tag, block in {b"wtpt": white, **tags}.items():
        table += tag + struct.pack(">II", start + len(data), len(block))
        data += block + bytes(-len(block) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"", 0x02400000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += b"".join(map(_fixed, (0.9642, 1.0, 0.8249)))
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags) + 1) + table + data


def _gamma_curve(in_256ths: int) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, in_256ths)


def _wide_gamut() -> bytes:
    """Display P3's primaries with a plain gamma of 2.2, made by hand."""
    tags = {}
    for index, letter in enumerate("rgb"):
        column = b"".join(_fixed(row[index]) for row in _P3_TO_XYZ)
        tags[f"{letter}XYZ".encode()] = b"XYZ " + bytes(4) + column
        tags[f"{letter}TRC".encode()] = _gamma_curve(_GAMMA_IN_256THS)
    return _profile(b"RGB ", tags)


def _said_in_srgb(colours: Floats) -> Floats:
    linear = (colours / 255) ** (_GAMMA_IN_256THS / 256)
    linear = np.einsum("yxc,dc,ed->yxe", linear, _P3_TO_XYZ, _XYZ_TO_SRGB)
    linear = np.clip(linear, 0, 1)
    curved = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )
    return cast(Floats, curved * 255)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize(
    "row",
    [row for row in TONE if row.to_srgb],
    ids=lambda r: r.words,
)
def test_operation_defined_in_srgb_converts_wide_gamut_and_drops_the_profile(
    row: Row, mode: str
) -> None:
    picture = picture_of(mode, _wide_gamut())
    before = planes_of(picture.image)
    after = parse(row.words).apply(picture)
    assert after.icc is None
    expected = np.clip(row.reference(_said_in_srgb(before[:, :, :3])), 0, 255)
    found = planes_of(after.image)
    difference = np.abs(found[:, :, : expected.shape[2]] - expected)
    # LittleCMS works with 8 bits and a table for the curves, hence the second level.
    assert difference.max() <= 2
    # The same numbers taken as sRGB are far from that.
    naive = np.clip(row.reference(before[:, :, :3]), 0, 255)
    assert np.abs(naive - expected).max() > 10
    if mode == "RGBA":
        assert np.array_equal(found[:, :, -1], before[:, :, -1])


@pytest.mark.parametrize("words", [row.words for row in TONE if not row.to_srgb], ids=str)
def test_other_operations_work_on_the_numbers_and_keep_the_profile(words: str) -> None:
    wide = _wide_gamut()
    after = parse(words).apply(picture_of("RGB", wide))
    assert after.icc == wide
    assert np.array_equal(
        planes_of(after.image), planes_of(parse(words).apply(picture_of("RGB")).image)
    )


def test_sepia_converts_a_grey_picture_from_its_own_profile() -> None:
    old = _profile(b"GRAY", {b"kTRC": _gamma_curve(461)})
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256, 1)
    after = parse("sepia:amount=0").apply(Picture.of(image_of("L", ramp), icc=old))
    light = (ramp.astype(np.float64) / 255) ** (461 / 256)
    expected = 255 * np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055
    )
    assert after.icc is None
    assert after.image.mode == "RGB"
    assert np.abs(planes_of(after.image) - expected).max() <= 2
    assert np.abs(ramp - expected).max() > 10


# Words


@pytest.mark.parametrize(
    ("words", "kind", "values"),
    [
        ("sharpen", "sharpen", {"amount": 0.8}),
        ("sharpen:", "sharpen", {"amount": 0.8}),
        ("Sharpen:amount=2", "sharpen", {"amount": 2.0}),
        (" sharpen : amount = 1.5 ", "sharpen", {"amount": 1.5}),
        ("autocontrast:channels=yes", "autocontrast", {"cutoff": 0.5, "channels": True}),
        ("autocontrast:cutoff=1,channels=on", "autocontrast", {"cutoff": 1.0, "channels": True}),
        ("autocontrast:channels=No,", "autocontrast", {"cutoff": 0.5, "channels": False}),
        ("blur:radius=1e1", "blur", {"radius": 10.0}),
        ("grayscale", "grayscale", {}),
    ],
)
def test_text_is_parsed_into_an_operation(words: str, kind: str, values: dict[str, object]) -> None:
    operation = parse(words)
    assert type(operation) is names()[kind]
    assert {key: getattr(operation, key) for key in values} == values
    assert set(values) == {field.name for field in dataclasses.fields(operation)}
    assert all(type(getattr(operation, key)) is type(value) for key, value in values.items())


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("sharpn", ["unknown operation 'sharpn'", "did you mean sharpen?"]),
        ("SATURATON:amount=2", ["unknown operation", "did you mean saturation?"]),
        ("xyzzy", ["unknown operation 'xyzzy'", "autocontrast", "sharpen"]),
        ("", ["unknown operation ''", "grayscale"]),
        ("sharpen:radius=2", ["sharpen", "'radius=2'", "expected amount=…"]),
        ("sharpen:2", ["sharpen", "'2'", "expected amount=…"]),
        ("sharpen:amount", ["sharpen", "'amount'", "expected amount=…"]),
        ("autocontrast:x=1", ["autocontrast", "'x=1'", "cutoff=… or channels=…"]),
        ("grayscale:amount=1", ["grayscale", "'amount=1'", "it has no settings"]),
        ("sharpen:amount=much", ["sharpen: amount", "'much'", "a number from 0 to 8"]),
        ("sharpen:amount=", ["sharpen: amount", "''", "a number from 0 to 8"]),
        ("sharpen:amount=8.01", ["sharpen: amount", "8.01", "a number from 0 to 8"]),
        ("sharpen:amount=-0.1", ["sharpen: amount", "-0.1", "a number from 0 to 8"]),
        ("sharpen:amount=nan", ["sharpen: amount", "nan", "a number from 0 to 8"]),
        ("blur:radius=inf", ["blur: radius", "inf", "a number from 0 to 1000 pixels"]),
        ("gamma:amount=0", ["gamma: amount", "'0'", "a number from 0.1 to 10"]),
        ("autocontrast:cutoff=50", ["autocontrast: cutoff", "50", "from 0 to 49 %"]),
        ("autocontrast:channels=maybe", ["autocontrast: channels", "'maybe'", "yes or no"]),
    ],
)
def test_invalid_text_is_refused_with_found_and_expected(words: str, parts: list[str]) -> None:
    check_refused(words, parts)


def test_operations_are_listed_by_name() -> None:
    assert list(names()) == sorted(names())
    assert all(kind.name == name for name, kind in names().items())


def test_two_operations_of_one_name_are_refused() -> None:
    class Other(Sharpen):
        """Something else under the same name."""

    with pytest.raises(ValueError, match="two operations are called sharpen"):
        register(Other)
    assert names()["sharpen"] is Sharpen


def declared(default: Any, **words: Any) -> Parameter:
    found: Parameter = parameter(default, help="", **words).metadata["parameter"]
    return found


@pytest.mark.parametrize(
    ("setting", "word", "value"),
    [
        (declared(3, low=1, high=9), "4", 4),
        (declared(3.0), "4", 4.0),
        (declared(False), "TRUE", True),
        (declared(True), "0", False),
        (declared("soft", choices=("soft", "hard")), "hard", "hard"),
    ],
)
def test_value_is_parsed_by_the_type_of_its_default(
    setting: Parameter, word: str, value: object
) -> None:
    read = setting.read("here", word)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("setting", "word", "expected"),
    [
        (declared(3, low=1, high=9), "4.5", "a whole number from 1 to 9"),
        (declared(3, low=1, high=9), "10", "a whole number from 1 to 9"),
        (declared(3.0, unit="pixels"), "x", "a number pixels"),
        (declared(3.0), "nan", "a number"),
        (declared(3.0), "-inf", "a number"),
        (declared("soft", choices=("soft", "hard")), "medium", "one of soft, hard"),
    ],
)
def test_invalid_value_is_refused_with_the_allowed_ones(
    setting: Parameter, word: str, expected: str
) -> None:
    with pytest.raises(UsageError) as caught:
        setting.read("here", word)
    assert "here" in str(caught.value)
    assert f"expected {expected}" in str(caught.value)


def test_new_operation_needs_only_its_class() -> None:
    @dataclass(frozen=True, slots=True)
    class Twice(Operation):
        """Nothing, twice."""

        name = "twice"
        times: int = parameter(2, low=1, high=3, unit="times", help="how often")

        def apply(self, picture: Picture) -> Picture:
            return picture

    assert Twice().times == 2
    assert parameters_of(Twice)["times"].expected == "a whole number from 1 to 3 times"
    with pytest.raises(UsageError, match="twice: times: found 4"):
        Twice(4)
    with pytest.raises(UsageError, match=r"twice: times: found 1\.0"):
        Twice(1.0)  # type: ignore[arg-type]


# What goes wrong in one


@dataclass(frozen=True, slots=True)
class Odd(PointOperation):
    """A buggy point operation."""

    name = "odd"
    made: Any = None

    def level(self, value: float) -> float:
        return cast(float, self.made(value))


def _raises(value: float) -> float:
    raise OverflowError("too much")


@dataclass(frozen=True, slots=True)
class Blind(PointOperation):
    """One that does not look at the picture."""

    name = "blind"
    measures = True

    def settled(self, picture: Picture) -> PointOperation:
        raise LookupError("nothing to see")


@dataclass(frozen=True, slots=True)
class Empty(PointOperation):
    """One without a curve."""

    name = "empty"


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (Odd(_raises), "odd: OverflowError: too much"),
        (Odd(lambda value: math.nan), "odd: ValueError: a level became NaN"),
        (Odd(lambda value: value or math.nan), "odd: ValueError: a level became NaN"),
        (Odd(lambda value: None), "odd: TypeError: must be real number, not NoneType"),
        (Empty(), "empty: TypeError: Empty has neither `level` nor `curves`"),
        (Blind(), "blind: LookupError: nothing to see"),
    ],
)
def test_bug_in_one_of_several_point_operations_is_reported_by_its_name(
    odd: PointOperation, message: str
) -> None:
    failure = Failure("operate", odd.name, message)
    for others in ((odd,), (odd, parse("invert")), (parse("gamma"), odd, parse("invert"))):
        # Operations that look at the picture start over, so the bug is always in the last one.
        *before, last = joined(others)
        assert len(before) == (odd.measures and others[0] is not odd)
        with pytest.raises(PictureError) as caught:
            last.apply(picture_of("RGB"))
        assert caught.value.failure == failure
    run = joined((odd, parse("invert")))[0]
    if odd.measures:
        # This is what happens for the first frame of an animation.
        with pytest.raises(PictureError, match="nothing to see"):
            run.settled(picture_of("RGB"))


def test_values_beyond_black_and_white_are_clipped_without_error() -> None:
    for level, expected in ((math.inf, 255), (-math.inf, 0), (2.0, 255), (-1, 0)):
        after = Odd(lambda value, level=level: level).apply(picture_of("L"))
        assert after.image.getextrema() == (expected, expected)


# 16 bits a channel in colour


def deep(channels: int) -> Deep:
    levels = np.random.default_rng(channels).integers(0, 65_536, (9, 11, channels))
    return Deep(levels.astype(np.uint16))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_grey_of_16_bits_is_its_luma(channels: int) -> None:
    pixels = deep(channels)
    after = parse("grayscale").apply(Picture(pixels, "png", (11, 9), (0, 0, 11, 9)))
    assert after.mode == ("I;16" if channels == 3 else "LA;16")
    made = np.asarray(after.image) if channels == 3 else cast(Deep, after.deep).array[..., 0]
    levels = pixels.array.astype(np.float64)
    luma = levels[..., :3] @ (0.299, 0.587, 0.114) if channels > 2 else levels[..., 0]
    assert np.abs(made - luma).max() <= NEAREST
    if channels == 4:
        assert np.array_equal(cast(Deep, after.deep).array[..., 1], pixels.array[..., 3])


def test_kind_that_cannot_read_its_values_cannot_be_made() -> None:
    class Half(Kind, frozen=True):
        @property
        def expected(self) -> str:
            return "half of something"

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
