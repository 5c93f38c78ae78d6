"""Photographs with capture dates, and the names they get."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from imgbatch.model import Job
from imgbatch.planning.compact import Jobs
from imgbatch.planning.scan import Selection, scan
from toolkit.pictures import exif_block, scene, text, with_metadata

SUBSEC: Final = 0x9291
OFFSET: Final = 0x9011


def photograph(
    file: Path,
    date: str | None,
    *,
    subsec: str | None = None,
    offset: str | None = None,
    changed: float = 1_700_000_000,
) -> Path:
    """A picture with a capture date, in a file that was modified at another time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    more = [(tag, 2, text(told)) for tag, told in ((SUBSEC, subsec), (OFFSET, offset)) if told]
    block = exif_block(orientation=1, more=more).block
    # As long as the date that is there.
    block = block.replace(b"2024:05:17 18:03:09", (date or " " * 19).encode("ascii"))
    file.write_bytes(with_metadata(scene(48, 32), "JPEG", exif=block))
    os.utime(file, (changed, changed))
    return file


def planned_jobs(folder: Path) -> Jobs:
    jobs = Jobs()
    for seq, source in enumerate(scan([str(folder)], Selection()), 1):
        jobs.append(Job(source, (), seq))
    return jobs
