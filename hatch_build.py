"""Builds the native decoder (imgbatch/native) into the wheel, if Rust is installed.

Without it, or where it fails, the wheel is one of plain Python, and Pillow decodes everything.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_CRATE = Path("imgbatch", "native")
_NAMES = {"darwin": "libimgbatch_native.dylib", "win32": "imgbatch_native.dll"}
_NAME = _NAMES.get(sys.platform, "libimgbatch_native.so")
# The oldest systems that Rust builds for.
_MACS = {"arm64": "macosx_11_0_arm64", "x86_64": "macosx_10_12_x86_64"}


class NativeDecoder(BuildHookInterface[Any]):
    """Runs cargo, and says that the wheel is for this platform, but for any Python."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the library, unless there is no cargo or IMGBATCH_NATIVE is 0."""
        if self.target_name != "wheel":
            return
        library = Path(self.root) / _CRATE / _NAME
        built = self._built()
        if built is None:
            if version == "editable":
                # What is there was built from other sources.
                library.unlink(missing_ok=True)
            return
        # Programs that have loaded the former one go on with that.
        fresh = library.with_name(f".{_NAME}.{os.getpid()}")
        shutil.copy(built, fresh)
        fresh.replace(library)
        build_data["artifacts"].append((_CRATE / _NAME).as_posix())
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"

    def _built(self) -> Path | None:
        cargo = shutil.which("cargo")
        if cargo is None or os.environ.get("IMGBATCH_NATIVE") == "0":
            return None
        target = Path(self.root) / _CRATE / "target"
        # With this variable it would go to a folder of its own.
        environment = {
            name: value for name, value in os.environ.items() if name != "CARGO_BUILD_TARGET"
        }
        command = [cargo, "build", "--release", "--locked", "--offline", "--target-dir", target]
        try:
            subprocess.run(
                command,
                cwd=Path(self.root) / _CRATE,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "")
            self.app.display_warning(f"without the native decoder: {error}\n{said}")
            return None
        found = target / "release" / _NAME
        return found if found.exists() else None


def _platform() -> str:
    if sys.platform == "darwin":
        return _MACS[platform.machine()]
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
