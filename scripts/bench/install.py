"""Installs the peers that are available here, and says what it did."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.outside import PROGRAMS

# Node.js is mostly installed in other ways, and find is always there.
DEBIAN = tuple(
    dict.fromkeys(
        program.package
        for program in PROGRAMS.values()
        if program.package not in ("nodejs", "findutils")
    )
)
NPM = ("sharp@0.35.5",)
PYPI = ("pyvips==3.2.0", "pyvips-binary==8.18.7", "imgp==3.0")

Say = Callable[[str], None]


def install_peers(work: Path, say: Say) -> None:
    """Install system packages (only as root), and the rest below `work`."""
    work.mkdir(parents=True, exist_ok=True)
    if not shutil.which("apt-get"):
        say(f"skipped {', '.join(DEBIAN)}: no apt-get here, use this system's own package manager")
    elif os.geteuid() != 0:
        say(f"skipped {', '.join(DEBIAN)}: not root. As root: apt-get install {' '.join(DEBIAN)}")
    else:
        _step(("apt-get", "update", "-q"), say)
        _step(("apt-get", "install", "-q", "-y", "--no-install-recommends", *DEBIAN), say)
        _show_versions(say)
    npm = shutil.which("npm")
    if npm:
        quiet = ("--no-audit", "--no-fund", "--loglevel=error")
        _step((npm, "install", "--prefix", str(work), *quiet, *NPM), say)
    else:
        say(f"skipped {', '.join(NPM)}: no npm here")
    python = work / "venv" / "bin" / "python"
    if python.exists() or _step((sys.executable, "-m", "venv", str(work / "venv")), say):
        _step((str(python), "-m", "pip", "install", "--quiet", *PYPI), say)


def _show_versions(say: Say) -> None:
    """Print the versions of system packages, which cannot be pinned."""
    show = ("dpkg-query", "-W", "-f", "  ${Package} ${Version}\n", *DEBIAN)
    done = subprocess.run(show, capture_output=True, text=True, errors="replace")
    say(done.stdout.rstrip())


def _step(argv: Sequence[str], say: Say) -> bool:
    say(f"$ {' '.join(argv)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", env=environment)
    if done.returncode == 0:
        say("  done")
        return True
    last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
    say(f"  failed with exit code {done.returncode}: {last[:200]}")
    return False
