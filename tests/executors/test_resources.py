"""What this process may use: processors and memory, limited by the machine and its cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbatch.executors import resources


def cgroups(folder: Path, membership: str | None, files: dict[str, str]) -> tuple[Path, Path]:
    """A stand-in for /proc/self/cgroup and /sys/fs/cgroup."""
    mount = folder / "cgroup"
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text)
    if membership is not None:
        (folder / "membership").write_text(membership)
    return folder / "membership", mount


# Processors


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "200000 100000\n"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 2),
        ("0::/a/b\n", {"a/b/cpu.max": "10000 100000\n"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "900000 100000\n", "a/cpu.max": "100000 100000\n"}, 1),
        ("0::/a/b\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/a/b\n", {"c/cpu.max": "100000 100000\n"}, None),
        ("0::/\n", {"cpu.max": "50000 20000\n"}, 3),
        ("0::/a\n", {"a/cpu.max": "nonsense\n"}, None),
        ("0::/a\n", {"a/cpu.max": "100000 0\n"}, None),
        ("0::/a\n", {}, None),
        ("", {}, None),
        (None, {"cpu.max": "100000 100000\n"}, None),
        (
            "5:memory:/x\n4:cpu,cpuacct:/box/x\n",
            {
                "cpu/box/x/cpu.cfs_quota_us": "250000\n",
                "cpu/box/x/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            "4:cpu,cpuacct:/unseen/x\n",
            {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        (
            "4:cpu:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            None,
        ),
        (
            "5:cpuset:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "100000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            None,
        ),
    ],
)
def test_tightest_cpu_quota_of_all_parent_cgroups_counts(
    tmp_path: Path, membership: str | None, files: dict[str, str], expected: int | None
) -> None:
    places = cgroups(tmp_path, membership, files)

    assert resources._tightest("cpu", resources._quota_of, *places) == expected


@pytest.mark.parametrize(
    ("affinity", "quota", "expected"), [(4, None, 4), (4, 2, 2), (2, 8, 2), (1, 1, 1)]
)
def test_usable_processors_are_the_affinity_within_the_quota(
    monkeypatch: pytest.MonkeyPatch, affinity: int, quota: int | None, expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(affinity)))
    monkeypatch.setattr(resources, "_tightest", lambda controller, *more: quota)

    assert resources.processors() == expected


# Memory


LIMIT = 512 * 1024**2
NO_LIMIT_OF_V1 = "9223372036854771712\n"


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/memory.max": f"{LIMIT}\n"}, LIMIT),
        ("0::/a/b\n", {"a/b/memory.max": "max\n"}, None),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": f"{LIMIT}\n"}, LIMIT),
        ("0::/a/b\n", {"a/b/memory.max": f"{2 * LIMIT}\n", "a/memory.max": f"{LIMIT}\n"}, LIMIT),
        ("0::/a/b\n", {"a/b/memory.max": f"{LIMIT}\n", "a/memory.max": f"{2 * LIMIT}\n"}, LIMIT),
        ("0::/a/b\n", {"memory.max": f"{LIMIT}\n"}, LIMIT),
        ("0::/a/b\n", {"c/memory.max": f"{LIMIT}\n"}, None),
        ("0::/a\n", {"a/memory.max": "nonsense\n"}, None),
        ("", {}, None),
        (None, {"memory.max": f"{LIMIT}\n"}, None),
        ("4:memory:/x\n", {"memory/x/memory.limit_in_bytes": f"{LIMIT}\n"}, LIMIT),
        ("4:memory:/x\n", {"memory/memory.limit_in_bytes": f"{LIMIT}\n"}, LIMIT),
        ("4:cpu:/x\n", {"memory/x/memory.limit_in_bytes": f"{LIMIT}\n"}, None),
        (
            "4:memory:/x\n0::/x\n",
            {"memory/x/memory.limit_in_bytes": NO_LIMIT_OF_V1, "x/memory.max": f"{LIMIT}\n"},
            LIMIT,
        ),
    ],
)
def test_tightest_memory_limit_of_all_parent_cgroups_counts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    membership: str | None,
    files: dict[str, str],
    expected: int | None,
) -> None:
    installed = 64 * 1024**3
    own, mount = cgroups(tmp_path, membership, files)
    monkeypatch.setattr(resources, "_MEMBERSHIP", own)
    monkeypatch.setattr(resources, "_MOUNT", mount)
    monkeypatch.setattr(resources, "_installed_memory", lambda: installed)

    assert resources.memory() == (expected or installed)


def test_without_a_limit_memory_is_that_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, mount = cgroups(
        tmp_path, "4:memory:/x\n", {"memory/x/memory.limit_in_bytes": NO_LIMIT_OF_V1}
    )
    monkeypatch.setattr(resources, "_MEMBERSHIP", own)
    monkeypatch.setattr(resources, "_MOUNT", mount)

    assert resources.memory() == resources._installed_memory()


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux tells it there")
def test_installed_memory_is_what_the_kernel_reports() -> None:
    first, amount, _ = Path("/proc/meminfo").read_text().splitlines()[0].split()

    assert first == "MemTotal:"
    assert abs(resources._installed_memory() - int(amount) * 1024) < 64 * 1024**2
