"""`imgbatch doctor`: what a bug report needs, and a test of all formats and operations."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from typing import Final

import click

import imgbatch
from imgbatch.cli.output import tell
from imgbatch.plurals import counted

Facts = Iterator[tuple[str, str]]
"""What is told, and about what."""

FAILED: Final = "FAILED"


@click.command("doctor")
@click.pass_context
def command(context: click.Context) -> None:
    """Show what this installation consists of, and test each of its formats and operations.

    For bug reports. Exit code 1 if something does not work.
    """
    sections = {
        "imgbatch": _versions,
        "Codecs": _libraries,
        "Extras": _extras,
        "Machine": _machine,
        "Self-test": _self_test,
    }
    wrong = 0
    for title, facts in sections.items():
        tell(title)
        try:
            for name, value in facts():
                tell(f"  {name:18} {value}")
                wrong += name == FAILED
        except Exception as error:
            # A library that everything needs is broken: that is what this command is for.
            tell(f"  {FAILED:18} {type(error).__name__}: {error}")
            wrong += 1
    if wrong:
        tell(f"{counted(wrong, 'check')} failed: please report all of this.")
        context.exit(1)
    tell("All is well.")


def _versions() -> Facts:
    yield "imgbatch", f"{imgbatch.__version__} in {os.path.dirname(imgbatch.__file__)}"
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "runs as", sys.executable or "unknown"
    yield "system", platform.platform()
    for name in _required():
        yield name, _version_of(name)


def _required(extra: str | None = None) -> list[str]:
    """The packages that imgbatch depends on here, or that an extra installs."""
    try:
        needed = metadata.requires("imgbatch") or []
    except metadata.PackageNotFoundError:
        # It runs from a folder that it was not installed from.
        return []
    found: dict[str, None] = {}
    for line in needed:
        requirement, _, condition = line.partition(";")
        of = re.search(r"""extra\s*==\s*['"]([\w-]+)['"]""", condition)
        name = re.match(r"[\w.-]+", requirement)
        # Some are for other systems.
        if (
            name
            and (of[1] if of else None) == extra
            and (not condition or _version_of(name[0]) != _MISSING)
        ):
            found[name[0]] = None
    return list(found)


_MISSING: Final = "not installed"


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return _MISSING


def _libraries() -> Facts:
    from imgbatch.imaging import formats, self_test

    yield from self_test.versions().items()
    for row in (row for row in formats.FORMATS if row.extra is None):
        if not formats.available(row):
            yield row.name, f"not available: {formats.remedy(row)}"
        elif told := formats.codec(row).told():
            yield row.name, told


def _extras() -> Facts:
    from imgbatch.imaging import formats

    for extra in formats.EXTRAS:
        brings = [row.label for row in formats.FORMATS if row.extra == extra]
        what = ", ".join(brings) or "16 bits a channel in colour"
        if formats.installed(extra):
            packages = ", ".join(f"{name} {_version_of(name)}" for name in _required(extra))
            yield extra, f"{what}: {packages or 'installed'}"
        else:
            yield extra, f"{what}: {_MISSING} (pip install 'imgbatch[{extra}]')"


def _machine() -> Facts:
    from imgbatch.executors import crew, resources

    yield "processors", f"{resources.processors()} of {os.cpu_count()}"
    yield "memory", f"{resources.memory() / 1e9:.1f} GB"
    try:
        folder = tempfile.gettempdir()
        yield "temporary files", f"{folder} ({shutil.disk_usage(folder).free / 1e9:.1f} GB free)"
    except OSError as error:
        yield "temporary files", f"none: {error.strerror or error}"
    crew.warm_up()
    yield "workers start by", crew.start_methods()[0]


def _self_test() -> Facts:
    from imgbatch.imaging import self_test
    from imgbatch.operations.checks import properties

    for what, checks in (
        ("formats", self_test.codecs()),
        ("operations", properties.operations()),
    ):
        done = list(checks)
        fine = [one.name for one in done if not one.failure]
        yield what, f"{len(fine)} work: {', '.join(fine)}"
        for one in done:
            if one.failure:
                yield FAILED, f"{what.removesuffix('s')} {one.name}: {one.failure}"
