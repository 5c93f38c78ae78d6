"""Imported, before anything else, by the server that workers are forked from, and by nobody else.

What it cannot do (fork, because there are too many processes) is told by whoever asked for it.
"""

from __future__ import annotations

import sys

sys.excepthook = lambda *raised: None
