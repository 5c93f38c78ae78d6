"""What other packages bring, through entry points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def load(group: str, what: str, take: Callable[[Any], None] = lambda found: None) -> dict[str, str]:
    """Load all entry points of a group, and give each object to `take`, which may raise anything.

    Returns why the `what` of packages that fail cannot be loaded, by the name of the entry point.
    """
    # It takes a while to load.
    from importlib.metadata import entry_points

    wrong = {}
    for point in entry_points(group=group):
        try:
            take(point.load())
        except (Exception, SystemExit) as error:
            package = point.dist.name if point.dist else point.value
            wrong[point.name.lower()] = (
                f"the {what} of {package} cannot be loaded ({point.value}): "
                f"{type(error).__name__}: {error}"
            )
    return wrong
