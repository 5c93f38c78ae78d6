"""Settings of Pillow and of warnings in a program with threads: ours, and those of the program."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final
from unittest import mock

import pytest
from PIL import Image, ImageFile, PngImagePlugin
from toolkit.pictures import saved, scene

import imgbatch
from imgbatch.imaging.own_settings import pillow_limited, quiet, without_limit

RECIPE: Final = imgbatch.Recipe.from_options(sizes=[40])
THREADS: Final = 16


def with_long_text() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("long", "x" * 1_500_000, zip=True)
    return saved(scene(), "PNG", pnginfo=info)


def kinds() -> Iterator[tuple[bytes, dict[str, Any]]]:
    jpeg, png = saved(scene(), "JPEG"), saved(scene(200, 150), "PNG")
    yield jpeg, {}
    yield with_long_text(), {}
    yield saved(scene(), "TIFF", compression="tiff_lzw"), {}
    yield saved(scene(), "WEBP"), {}
    yield saved(scene(), "GIF"), {}
    yield saved(Image.new("1", (16_000, 16_000)), "PNG"), {}
    yield jpeg, {"max_pixels": 100}
    for cut in (jpeg[:-200], png[:-2000], saved(scene(), "GIF")[:-500]):
        yield cut, {}
        yield cut, {"salvage": True}


def outcome(given: tuple[bytes, dict[str, Any]]) -> object:
    data, options = given
    try:
        return [(made.data, made.notices) for made in RECIPE.apply(data, **options)]
    except imgbatch.PictureError as error:
        return error.failure


@contextmanager
def in_another_thread(work: Callable[[], None]) -> Iterator[None]:
    """Repeat something in a thread until the block ends; it must not raise."""
    over, errors = threading.Event(), []

    def repeat() -> None:
        try:
            while not over.is_set():
                work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=repeat)
    thread.start()
    yield
    over.set()
    thread.join()
    assert errors == []


@pytest.mark.slow
def test_threads_make_the_same_as_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    cut = saved(scene(200, 150), "PNG")[:-2000]
    given = list(kinds())
    alone = [outcome(one) for one in given]
    turn = 0

    def work_as_a_host() -> None:
        nonlocal turn
        turn += 1
        allowed = turn % 2 == 0
        ImageFile.LOAD_TRUNCATED_IMAGES = allowed
        try:
            Image.open(BytesIO(cut)).load()
            assert allowed
        except OSError:
            assert not allowed
        assert ImageFile.LOAD_TRUNCATED_IMAGES is allowed

    with in_another_thread(work_as_a_host), ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(outcome, given * 2))

    assert together == alone * 2
    assert len({type(one) for one in alone}) == 2


def test_warnings_of_a_host_are_heard_meanwhile_and_its_filters_restored() -> None:
    before = list(warnings.filters)
    inside, over = threading.Event(), threading.Event()

    def be_quiet() -> None:
        with quiet():
            inside.set()
            over.wait(30)
            warnings.warn("of a codec", UserWarning, stacklevel=1)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(be_quiet)
        inside.wait()
        # An error in tests. pytest.warns would put a filter of its own first.
        with pytest.raises(UserWarning, match="of the host"):
            warnings.warn("of the host", UserWarning, stacklevel=1)
        with quiet():
            # The other one leaves first.
            over.set()
            first.result()
            warnings.warn("of a codec", UserWarning, stacklevel=1)

    assert warnings.filters == before


def test_a_setting_of_ours_counts_in_this_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    bomb = saved(Image.new("L", (8, 8)), "PNG")

    def read_as_a_host() -> None:
        assert ImageFile.LOAD_TRUNCATED_IMAGES is False
        assert Image.MAX_IMAGE_PIXELS == 10
        with pytest.raises(Image.DecompressionBombError, match="exceeds limit of 20 pixels"):
            Image.open(BytesIO(bomb))

    with pillow_limited(1_000, salvage=True):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(read_as_a_host).result()
        assert ImageFile.LOAD_TRUNCATED_IMAGES is True
        assert Image.open(BytesIO(bomb)).size == (8, 8)
        with pillow_limited(10), pytest.raises(Image.DecompressionBombError):
            Image.open(BytesIO(bomb))
        with pillow_limited(10), without_limit():
            Image.open(BytesIO(bomb))
    read_as_a_host()


@pytest.mark.parametrize("limit", [None, 10, 100_000_000])
def test_settings_of_a_host_work_as_they_did(
    monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    picture = saved(Image.new("L", (8, 8)), "PNG")

    if limit == 10:
        with pytest.raises(Image.DecompressionBombError):
            Image.open(BytesIO(picture))
    else:
        Image.open(BytesIO(picture))
    with mock.patch.object(ImageFile, "LOAD_TRUNCATED_IMAGES", True):
        assert ImageFile.LOAD_TRUNCATED_IMAGES is True
        # Whoever saves our object, as mock does, puts it back.
        with mock.patch.object(Image, "MAX_IMAGE_PIXELS", 7):
            assert Image.MAX_IMAGE_PIXELS == 7
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert limit == Image.MAX_IMAGE_PIXELS


def test_long_texts_are_read_whatever_the_host_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    data = with_long_text()
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 1000)

    (made,) = imgbatch.Recipe.from_options(sizes=[40]).apply(data)

    assert len(made.data) > 1_000_000
    with pytest.raises(ValueError, match="too large"):
        Image.open(BytesIO(data)).load()
