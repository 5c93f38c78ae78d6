"""Shared by the tests: pictures, the command, external programs."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""The folder of the project."""
