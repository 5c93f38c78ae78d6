"""From the settings of one output to its operations and its encoding."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast, get_args

from msgspec.structs import replace

from imgbatch.errors import UsageError
from imgbatch.imaging import formats, limits
from imgbatch.model import (
    PROFILES,
    WHITE,
    Encoding,
    Fit,
    Gravity,
    Intent,
    Kernel,
    ProfileName,
)
from imgbatch.operations import Operation, build, parse
from imgbatch.operations.geometry import Resize, SizeSpec
from imgbatch.operations.profile import ConvertProfile
from imgbatch.recipes.declarations import dashed, declared
from imgbatch.recipes.settings import KEEP, RESIZING, SRGB, OutputSettings, Step, profile_name
from imgbatch.store import regular

RESIZE: Final = "resize"
"""The place of the resize among the operations of an output; without it the resize is first."""


class UnsuitedError(UsageError):
    """Two settings that exclude each other.

    `setting` and `other` are their fields of OutputSettings; `problem` is what is wrong, without
    a remedy, as recipes would call it.
    """

    def __init__(self, message: str, problem: str, setting: str, other: str) -> None:
        super().__init__(message)
        self.problem = problem
        self.setting = setting
        self.other = other


def encoding(settings: OutputSettings) -> Encoding:
    """How an output's file is written; raises UsageError for a setting that makes no sense."""
    word = _checked(settings, "format")
    row = None if word.lower() == "keep" else formats.lookup(word)
    values = {name: _checked(settings, name) for name in Encoding.__struct_fields__}
    for name in ("quality", "max_bytes"):
        if settings.lossless and values[name] is not None:
            raise _excluded(name)
    values |= {
        "format": row.name if row else None,
        "background": _colour(_checked(settings, "background")),
        "artist": settings.artist or None,
        "copyright": settings.copyright or None,
    }
    found = Encoding(**values)
    _check_settings(found, row)
    return found


def in_format(found: Encoding, row: formats.Format) -> Encoding:
    """The same encoding in this format; raises UsageError for a setting that it does not have."""
    _check_settings(found, row)
    return replace(found, format=row.name)


def steps(settings: OutputSettings) -> tuple[Operation, ...]:
    """What is done to the picture, in order; raises UsageError.

    Colours are converted as soon as the size is right.
    """
    # Checked even where there is no size for it.
    for name in ("intent", *RESIZING):
        _checked(settings, name)
    convert = conversions(settings.profile, cast(Intent, settings.intent), settings.folder)
    named = [_name_of(step) for step in settings.operations]
    for step in settings.operations:
        if _name_of(step) == RESIZE and step != RESIZE and set(step) != {"name"}:
            raise UsageError(
                f"operations: found {step!r}, expected resize alone: it marks the place of the "
                "resize, and the size is given by --size, or size = in a recipe"
            )
    if settings.size is None:
        if RESIZE in named:
            raise UsageError("operations: found resize, but no size is given")
        return (*convert, *(operation_of(step, settings.folder) for step in settings.operations))
    if named.count(RESIZE) > 1:
        raise UsageError("operations: found resize twice, expected one size")
    place = named.index(RESIZE) if RESIZE in named else 0
    rest = settings.operations[place + 1 :] if RESIZE in named else settings.operations
    before = (operation_of(step, settings.folder) for step in settings.operations[:place])
    after = (operation_of(step, settings.folder) for step in rest)
    return (*before, _resize(settings, settings.size), *convert, *after)


def _profile_hint(word: str) -> str:
    names = (KEEP, SRGB, *get_args(ProfileName))
    near = difflib.get_close_matches(word, (KEEP, SRGB, *PROFILES), n=1)
    asked = f"did you mean {PROFILES.get(near[0], near[0])}? Give " if near else "give "
    return f"{asked}{', '.join(names)} or an ICC file"


def _resize(settings: OutputSettings, size: str) -> Resize:
    return Resize(
        SizeSpec.parse(size),
        cast(Fit, settings.fit),
        settings.enlarge,
        cast(Gravity, _checked(settings, "gravity")),
        _colour(settings.background),
        cast(Kernel, settings.kernel),
        settings.linear,
    )


def _checked(settings: OutputSettings, name: str) -> Any:
    return declared(OutputSettings)[name].check(getattr(settings, name))


def operation_of(step: Step, folder: str = "") -> Operation:
    """The operation that a word or a table means; its files are below `folder`."""
    if isinstance(step, str):
        return parse(step, folder)
    name = _name_of(step)
    values = {key: value for key, value in step.items() if key != "name"}
    return build(name, values, folder)


def _name_of(step: Step) -> str:
    name = step.get("name") if isinstance(step, Mapping) else step
    if isinstance(step, str):
        name = step.partition(":")[0].strip()
    if not isinstance(name, str):
        raise UsageError(f"operations: found {step!r}, expected a name in each, as in name = 'lut'")
    return name


def check_label(label: str) -> str:
    """The name of an output, if it may be part of a file name; otherwise raises UsageError."""
    odd = any(one in '/\\{}"<>|*?:' or not one.isprintable() for one in label)
    if odd or label in ("", ".", ".."):
        raise UsageError(f"the name {label!r} cannot be part of a file name")
    return label


def option(name: str) -> str:
    """What sets a field of OutputSettings on the command line, or clears it if on by default."""
    return declared(OutputSettings)[name].options[-1]


def _excluded(name: str) -> UnsuitedError:
    return UnsuitedError(
        f"--lossless and {option(name)} exclude each other: omit one",
        f"lossless and {option(name)[2:]} exclude each other",
        name,
        "lossless",
    )


def _check_settings(encoding: Encoding, row: formats.Format | None) -> None:
    """Raise UnsuitedError for a setting that the format, if one is given, does not have."""
    if row is None:
        return
    if row.extra and not formats.available(row):
        raise UsageError(f"writing {row.name} needs: pip install 'imgbatch[{row.extra}]'")
    for name in get_args(formats.Setting):
        asked = getattr(encoding, name) != getattr(_PLAIN_ENCODING, name)
        dithered = name == "dither" and encoding.colours and "colours" in row.settings
        if asked and name not in row.settings and not dithered:
            problem = f"{row.label} has no {dashed(name)} setting"
            raise UnsuitedError(f"{problem}: omit {option(name)}", problem, name, "format")
    if row.name == "tiff" and encoding.quality is not None and encoding.compression != "jpeg":
        raise UnsuitedError(
            "TIFF has a quality with --compression jpeg only: omit --quality",
            "TIFF has a quality with compression jpeg only",
            "quality",
            "format",
        )


_PLAIN_ENCODING: Final = Encoding()


def _colour(word: str) -> tuple[int, int, int, int]:
    if word == "white":
        return WHITE
    # Pillow knows all the names of CSS; it is loaded only if somebody gives one.
    from imgbatch.imaging.colour import parse_colour

    return parse_colour(word)


def conversions(profile: str, intent: Intent, folder: str = "") -> Iterator[Operation]:
    """The conversion that `--profile` asks for, if any; raises UsageError."""
    if not isinstance(profile, str):
        raise UsageError(f"found the profile {profile!r}, expected its name or an ICC file")
    name = profile_name(profile)
    if name == KEEP:
        return
    if name == SRGB:
        yield ConvertProfile(intent=intent)
        return
    if name is not None:
        # Building one needs no Pillow, but its package loads it.
        from imgbatch.imaging.colour import named

        yield ConvertProfile(named.profile(name), intent, name)
        return
    path = os.path.join(folder, profile)
    try:
        icc = regular.read(path, "an ICC profile", limits.ICC_BYTES)
    except regular.UnreadableError as error:
        raise UsageError(
            f"unknown profile {profile!r}: {_profile_hint(profile.lower())} ({error.cause})"
        ) from None
    if icc[36:40] != b"acsp" or icc[16:20] not in (b"RGB ", b"GRAY", b"CMYK"):
        raise UsageError(f"{profile}: not an ICC profile for colour, grey or CMYK")
    yield ConvertProfile(icc, intent, path)
