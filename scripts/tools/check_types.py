"""Check the examples of docs/api.md as users' type checkers do: with Pyright, in its usual mode.

Needs basedpyright (MIT; with Node.js inside, 300 MB), which nothing else does:

    python -m venv /tmp/pyright && /tmp/pyright/bin/pip install basedpyright
    PATH=/tmp/pyright/bin:$PATH scripts/tool check_types
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from toolkit import ROOT

EXAMPLES: Final = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def main() -> int:
    """Returns 0 if there is nothing to complain about."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.parse_args()
    checker = shutil.which("basedpyright") or shutil.which("pyright")
    if checker is None:
        arguments.error("Pyright is not installed: --help says how")
    with tempfile.TemporaryDirectory() as folder:
        page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
        Path(folder, "examples.py").write_text("".join(EXAMPLES.findall(page)), encoding="utf-8")
        settings = {
            "typeCheckingMode": "standard",
            "extraPaths": [str(ROOT)],
            "include": ["examples.py"],
        }
        Path(folder, "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
        command = [checker, "-p", folder, "--pythonpath", sys.executable]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
