"""Programs that use the library, as their authors would run them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from toolkit.pool_tasks import still_alive


def script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in `folder`; whatever processes it starts must end with it."""
    program = folder / "program.py"
    program.write_text(text)
    with subprocess.Popen(
        [sys.executable, program],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as started:
        try:
            out, err = started.communicate(timeout=300)
        finally:
            left = still_alive(started.pid)
            for pid in left:
                os.kill(pid, signal.SIGKILL)
    assert left == [], "processes were left behind"
    return subprocess.CompletedProcess(started.args, started.returncode, out, err)
