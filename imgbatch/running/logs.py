"""What programs can listen to, at `logging.getLogger("imgbatch")`; it says nothing by itself."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from imgbatch.model import Notice

LOG: Final = logging.getLogger("imgbatch")
LOG.addHandler(logging.NullHandler())


def log_notices(name: str, notices: Iterable[Notice]) -> None:
    """Log the warnings about a picture."""
    for notice in notices:
        LOG.warning("%s: %s", name, notice.message)
