"""How many processors and how much memory this process may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_MEMBERSHIP: Final = Path("/proc/self/cgroup")
_MOUNT: Final = Path("/sys/fs/cgroup")


def processors() -> int:
    """Processors by affinity, limited by the cgroup's CPU quota (rounded up), at least 1."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _tightest("cpu", _quota_of, _MEMBERSHIP, _MOUNT)
    return max(1, count if quota is None else min(count, quota))


def memory() -> int:
    """Bytes of memory in this machine, or fewer if a cgroup's limit is lower."""
    installed = _installed_memory()
    limit = _tightest("memory", _memory_of, _MEMBERSHIP, _MOUNT)
    return installed if limit is None else min(installed, limit)


def _installed_memory() -> int:
    if sys.platform == "win32":
        import psutil

        return int(psutil.virtual_memory().total)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _tightest(
    controller: str, limit_of: Callable[[Path], int | None], membership: Path, mount: Path
) -> int | None:
    """The lowest limit among the cgroups above this process, None without any."""
    limits = (limit_of(folder) for folder in _cgroups(controller, membership, mount))
    return min((limit for limit in limits if limit is not None), default=None)


def _cgroups(controller: str, membership: Path, mount: Path) -> Iterator[Path]:
    """The folders of this process's cgroup for a controller, and of all cgroups above it.

    cgroup v2 has one tree for all controllers, v1 one for each. See the kernel's
    admin-guide/cgroup-v2 and cgroup-v1.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = mount / controller if controllers else mount
        own = base / path.lstrip("/")
        for folder in (own, *own.parents):
            yield folder
            if folder == base:
                break


def _quota_of(folder: Path) -> int | None:
    """Processors' worth of CPU time: `cpu.max` holds "quota period" or "max period"."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        if quota in ("max", "-1"):
            return None
        return max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _memory_of(folder: Path) -> int | None:
    """Bytes; no limit is "max" in v2, and a number beyond any machine in v1."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            return int((folder / name).read_text())
        except (OSError, ValueError):
            continue
    return None
