"""imgp with a given number of processes; by itself it starts one for each processor.

python imgp_jobs.py JOBS IMGP-ARGUMENTS...
"""

from __future__ import annotations

import importlib
import multiprocessing
import sys
from functools import partial
from typing import Any


def main() -> None:
    """Run imgp's own command line with the pool replaced."""
    jobs = int(sys.argv.pop(1))
    imgp: Any = importlib.import_module("imgp")
    # Forked, because imgp's workers read its options from global variables.
    imgp.Pool = partial(multiprocessing.get_context("fork").Pool, jobs)
    imgp.main()


if __name__ == "__main__":
    main()
