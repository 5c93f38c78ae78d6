"""Settings that Pillow and Python keep for a whole process, each thread's own while we work.

A program that calls us may use Pillow itself, in this thread and in others, with settings of its
own; and several of its threads may call us at once. Taking turns would decode one picture at a
time. So a setting of Pillow's is replaced, once, by an object that has the value we want in a
thread that is within `pillow_limited`, and the program's in all others. Pillow's own code looks its
globals up by name, and finds that object; whoever reads or assigns the module's attribute meets a
property, and deals with the program's value alone.

Warnings are ignored by a filter that matches within `quiet`, in that thread.
"""

from __future__ import annotations

import math
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from types import ModuleType
from typing import Any, Final, NamedTuple

from PIL import Image, ImageFile

from imgbatch.imaging import limits


class _Ours(NamedTuple):
    """The settings of a thread that reads a file, by their names in Pillow."""

    MAX_IMAGE_PIXELS: int | None
    LOAD_TRUNCATED_IMAGES: bool
    # Bytes of one text of a PNG and of all: any excess is left out before Pillow sees it.
    MAX_TEXT_CHUNK: int = limits.PNG_CHUNK_BYTES
    MAX_TEXT_MEMORY: int = 8 * limits.PNG_CHUNK_BYTES
    # The workers already share the processors between them.
    DEFAULT_MAX_THREADS: int = 1


class _Thread(threading.local):
    """What holds in this thread; None and 0 outside our code."""

    ours: _Ours | None = None
    quiet: int = 0


_here: Final = _Thread()
_changing: Final = threading.RLock()


class _Setting:
    """A setting as Pillow's own code meets it: tested, compared, doubled or used as a number."""

    __slots__ = ("_host", "_name")

    def __init__(self, name: str, host: Any) -> None:
        self._name = name
        self._host = host

    @property
    def value(self) -> Any:
        """Ours in a thread that reads a file, or else the program's."""
        ours = _here.ours
        return self._host if ours is None else getattr(ours, self._name)

    def _number(self) -> float:
        value = self.value
        # No limit.
        return math.inf if value is None else value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __index__(self) -> int:
        return int(self.value)

    def __lt__(self, other: float) -> bool:
        return self._number() < other

    def __le__(self, other: float) -> bool:
        return self._number() <= other

    def __gt__(self, other: float) -> bool:
        return self._number() > other

    def __ge__(self, other: float) -> bool:
        return self._number() >= other

    def __mul__(self, other: float) -> float:
        return self._number() * other

    __rmul__ = __mul__

    def __str__(self) -> str:
        return str(self.value)


def in_each_thread(module: ModuleType, *names: str) -> None:
    """Let settings of a module of Pillow's, which `_Ours` has, differ between threads."""
    with _changing:
        if isinstance(vars(module)[names[0]], _Setting):
            return
        kind = type(module)
        found = {name: _attribute(name) for name in names}
        for name in names:
            vars(module)[name] = _Setting(name, vars(module)[name])
        module.__class__ = type(kind.__name__, (kind,), found)


def _attribute(name: str) -> property:
    """What the program reads and assigns."""

    def read(module: ModuleType) -> Any:
        found = vars(module)[name]
        # A module that is loaded again has its own.
        return found.value if isinstance(found, _Setting) else found

    def assign(module: ModuleType, value: Any) -> None:
        # Taken from the module's dictionary before, as by unittest.mock: that is put back.
        own = value if isinstance(value, _Setting) else _Setting(name, value)
        vars(module)[name] = own

    return property(read, assign)


in_each_thread(Image, "MAX_IMAGE_PIXELS")
in_each_thread(ImageFile, "LOAD_TRUNCATED_IMAGES")


@lru_cache(maxsize=16)
def _settings(pixels: int | None, salvage: bool) -> _Ours:
    return _Ours(None if pixels is None else pixels // 2 + 1, salvage)


class pillow_limited:  # noqa: N801
    """A context in which Pillow has our settings in this thread, whatever the program's are.

    Pillow's limit only warns where it should fail, and fails at twice its number: it fails above
    `pixels`, None for no limit. Files that are cut short fail unless `salvage`. Texts and profiles
    of a PNG may be as long as those of other formats.
    """

    __slots__ = ("_before", "_ours")

    def __init__(self, pixels: int | None, *, salvage: bool = False) -> None:
        self._ours = _settings(pixels, salvage)

    def __enter__(self) -> None:
        self._before = _here.ours
        _here.ours = self._ours

    def __exit__(self, *raised: object) -> None:
        _here.ours = self._before


@contextmanager
def without_limit() -> Iterator[None]:
    """A context, within `pillow_limited`, for a picture whose size was checked."""
    before = _here.ours
    _here.ours = before._replace(MAX_IMAGE_PIXELS=None) if before else before
    try:
        yield
    finally:
        _here.ours = before


# Modules that warn while a file is read or written. Operations, also of other packages, are not.
_CODECS: Final = r"(PIL|numpy|imagecodecs|tifffile|rawpy|pillow_heif|imgbatch\.imaging)(\.|$)"
NOTHING: Final = nullcontext()
"""The context in which nothing has to be silenced."""
_silence: object = None
_silent: Final[set[str]] = set()


def silence_codecs(other: str = "") -> None:
    """Silence the warnings of codecs in this process, which must not be a guest in a program.

    With `other`, silence that module, too, if they are silent already.
    """
    global _silence
    if not other:
        warnings.filterwarnings("ignore", module=_CODECS)
        _silence = warnings.filters[0]
    elif _silence is not None and other not in _silent:
        _silent.add(other)
        warnings.filterwarnings("ignore", module=re.escape(other))
        _silence = warnings.filters[0]


def quiet() -> AbstractContextManager[object]:
    """A context in which codecs warn nobody: our own checks report what matters."""
    if _silence is not None and warnings.filters[:1] == [_silence]:
        return NOTHING
    return _Quiet()


class _WhileQuiet:
    """In the place of a filter's regular expression: matches any text in a quiet thread."""

    def match(self, text: str) -> bool:
        return _here.quiet > 0


_FILTER: Final[Any] = ("ignore", _WhileQuiet(), Warning, None, 0)


class _Quiet:
    """A context that is quiet in its thread alone.

    `warnings.catch_warnings` changes the filters of all threads; and where two of them overlap, the
    first one's filters may stay for ever.
    """

    # How many there are in all threads, and the lists that have the filter: a program that uses
    # `catch_warnings` has several.
    _count = 0
    _lists: Final[list[Any]] = []

    def __enter__(self) -> None:
        _here.quiet += 1
        with _changing:
            _Quiet._count += 1
            # The program may have put others before it.
            if warnings.filters[:1] != [_FILTER]:
                filters: Any = warnings.filters
                filters.insert(0, _FILTER)
                self._lists.append(filters)

    def __exit__(self, *raised: object) -> None:
        _here.quiet -= 1
        with _changing:
            _Quiet._count -= 1
            if not _Quiet._count:
                for filters in (*self._lists, warnings.filters):
                    while _FILTER in filters:
                        filters.remove(_FILTER)
                self._lists.clear()
