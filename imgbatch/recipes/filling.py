"""Defaults that users keep for all their runs: they fill what is left open, and give way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from imgbatch.errors import UsageError
from imgbatch.recipes.steps import UnsuitedError

Built = TypeVar("Built")


def filled(build: Callable[[Mapping[str, Any]], Built], defaults: Mapping[str, Any]) -> Built:
    """What `build` makes with those `defaults` that go with everything else.

    A default quality says nothing about a PNG, nor about what is asked to be lossless. A format is
    never dropped: it is what the others have to go with. Raises what `build` does for anything
    else.
    """
    left = dict(defaults)
    while True:
        try:
            return build(left)
        except UnsuitedError as error:
            if error.setting in left:
                del left[error.setting]
            elif error.other in left and error.other != "format":
                del left[error.other]
            else:
                raise


def culprit(build: Callable[[Mapping[str, Any]], Built], defaults: Mapping[str, Any]) -> str | None:
    """The one of the `defaults` without which `build` works, where it fails with them all."""
    for name in defaults:
        with suppress(UsageError):
            filled(build, {one: value for one, value in defaults.items() if one != name})
            return name
    return None
