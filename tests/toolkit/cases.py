"""Many small cases in one test: to collect and report a test takes longer than most of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

Test = Callable[..., None]


def together(names: str, values: Iterable[Any]) -> Callable[[Test], Test]:
    """As `pytest.mark.parametrize`, but one test for all values, with the same fixtures.

    It ends with the first value that fails, which is told below the failure.
    """
    arguments = [name.strip() for name in names.split(",")]
    cases = [value if len(arguments) > 1 else (value,) for value in values]
    assert cases, f"there is nothing to test: {names}"

    def decorated(test: Test) -> Test:
        @functools.wraps(test)
        def each(**fixtures: Any) -> None:
            for case in cases:
                given = dict(zip(arguments, case, strict=True))
                try:
                    test(**fixtures, **given)
                except BaseException as error:
                    error.add_note(", ".join(f"{name}={one!r}" for name, one in given.items()))
                    raise

        before = inspect.signature(test)
        left = [one for name, one in before.parameters.items() if name not in arguments]
        assert len(left) + len(arguments) == len(before.parameters), f"{test.__name__}: {names}"
        each.__signature__ = before.replace(parameters=left)  # type: ignore[attr-defined]
        return each

    return decorated
