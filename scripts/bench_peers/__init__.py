"""What scripts/bench is made of: the peers, how they are run, measured and checked."""

import sys
from pathlib import Path

# What finds programs from outside stands there.
sys.path.append(str(Path(__file__).resolve().parent.parent.parent / "tests"))
