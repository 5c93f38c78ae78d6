"""What tests share: pictures, the command, programs from outside."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
"""The folder of the project."""
