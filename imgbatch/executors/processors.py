"""How many processors this process may use."""

from __future__ import annotations

import os
from pathlib import Path


def usable() -> int:
    """Processors by affinity, limited by the cgroup's CPU quota (rounded up), at least 1."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _cgroup_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    return max(1, count if quota is None else min(count, quota))


def _cgroup_quota(membership: Path, mount: Path) -> int | None:
    """Processors' worth of CPU time that the tightest cgroup above this process grants.

    cgroup v2: `cpu.max` holds "quota period" or "max period". v1: two files of the cpu
    controller. See the kernel's admin-guide/cgroup-v2 and scheduler/sched-bwc.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = mount / "cpu" if controllers else mount
        own = base / path.lstrip("/")
        for folder in (own, *own.parents):
            quotas.append(_quota_of(folder))
            if folder == base:
                break
    found = [quota for quota in quotas if quota is not None]
    return min(found) if found else None


def _quota_of(folder: Path) -> int | None:
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
