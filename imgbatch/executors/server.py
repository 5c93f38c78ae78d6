"""Imported, before anything else, by the server that workers are forked from, and by nobody else.

If it cannot fork (because there are too many processes), whoever asked it to reports that.
"""

from __future__ import annotations

import sys

sys.excepthook = lambda *raised: None
