"""Makes the operation `fault` known to the command under test and to all its processes.

This folder comes first on PYTHONPATH, so that Python imports this module before anything else: in
each process of each command, so it loads only what the command uses.
"""

from __future__ import annotations

import importlib
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

# Names of variables as in deeds and holding, which are not loaded to find out.
SERVER = "forkserver" in " ".join(sys.orig_argv)

if "IMGBATCH_TORTURE_FAULT" in os.environ and (SERVER or sys.orig_argv[1:3] == ["-m", "imgbatch"]):
    importlib.import_module("fault_operation")

if SERVER and os.environ.get("IMGBATCH_TORTURE_ROLE") == "worker":
    from torture import holding

    holding.hold_workers()
