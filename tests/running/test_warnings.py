"""Every kind of warning appears when it should, and only then; with --strict it is a failure."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_args

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from toolkit import ROOT, regions
from toolkit.deep import tiff
from toolkit.pictures import exif_block, saved, scene, with_metadata, with_segments
from toolkit.reports import rows

import imgbatch
from imgbatch.model import NOTICES, NoticeKind, Result

SMALLER: Final = {"sizes": ["30"]}


def with_alpha(level: int) -> bytes:
    return saved(np.dstack([scene(60, 40), np.full((40, 60), level, np.uint8)]), "PNG")


def two_clear_corners() -> bytes:
    alpha = np.full((40, 60), 255, np.uint8)
    alpha[:13, :17] = alpha[-13:, -17:] = 0
    return saved(Image.fromarray(np.dstack([scene(60, 40), alpha])), "GIF")


def noise() -> bytes:
    levels = np.random.default_rng(1).integers(0, 256, (80, 120, 3))
    return saved(levels.astype(np.uint8), "PNG")


def grey_16() -> bytes:
    return saved((scene(60, 40)[:, :, 0].astype(np.uint16) * 257), "PNG")


def floats(high: float) -> bytes:
    return saved(np.linspace(0, high, 2400, dtype=np.float32).reshape(40, 60), "TIFF")


def hdr(transfer: int) -> bytes:
    options: dict[str, Any] = {"primaries": 9, "transfer": transfer, "matrix": 9, "speed": 9}
    return bytes(imagecodecs.avif_encode(scene(60, 40), level=90, numthreads=1, **options))


def inks(fifth: str) -> bytes:
    levels = np.dstack([scene(60, 40), scene(60, 40)[..., :2]])
    return tiff(levels, photometric="separated", extrasamples=[fifth])


def two(format_name: str) -> bytes:
    other = Image.fromarray(255 - scene(60, 40))
    return saved(scene(60, 40), format_name, save_all=True, append_images=[other])


def exif_that_is(*, broken: bool) -> bytes:
    block = b"II*\0\xff\xff\xff\xff" if broken else exif_block(orientation=1).block
    return with_metadata(scene(60, 40), "PNG", exif=block)


def taken(date: str) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = date
    return saved(scene(60, 40), "JPEG", exif=exif.tobytes())


def motion_photo() -> bytes:
    """A JPEG followed by a video, declared in XMP as Google's phones do."""
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" '
        b'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
        b'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"/></rdf:RDF></x:xmpmeta>'
    )
    video = struct.pack(">I", 24) + b"ftypmp42" + bytes(60)
    return saved(scene(60, 40), "JPEG", xmp=packet) + video


C2PA: Final = b"\0\0\0\x26jumb\0\0\0\x1ejumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\3c2pa\0"


@dataclass(frozen=True)
class Case:
    """What triggers a warning, and what nearly does."""

    name: str
    warns: bytes
    quiet: bytes
    words: dict[str, Any] = field(default_factory=lambda: dict(SMALLER))
    quiet_words: dict[str, Any] | None = None
    message: str = ""
    salvage: bool = False


PANORAMA: Final = regions.packet(attributes='GPano:ProjectionType="equirectangular"')


def with_hole() -> bytes:
    """A JPEG with zeros in the middle of its data."""
    data = saved(scene(60, 40), "JPEG", quality=95)
    middle = len(data) - 1_200
    return data[:middle] + bytes(600) + data[middle + 600 :]


PLAIN: Final = saved(scene(60, 40), "JPEG")
JPEG: Final = {"format": "jpeg"}
NAMED: Final = {"template": "{date}{ext}", **SMALLER}

CASES: Final[dict[NoticeKind, list[Case]]] = {
    "alpha-flattened": [
        Case("a.png", with_alpha(128), with_alpha(255), JPEG, message="--background"),
        Case("a.png", with_alpha(0), with_alpha(0), JPEG, {"format": "webp"}),
        Case("a.png", with_alpha(90), with_alpha(0), {"format": "gif"}, message="half"),
        Case("a.gif", two_clear_corners(), two_clear_corners(), JPEG, SMALLER),
    ],
    "date-unreadable": [
        Case("a.jpg", taken("14.01.2025"), taken("2025-01-14"), NAMED, message="14.01.2025"),
        Case("a.jpg", taken("yesterday"), taken("    :  :     :  :  "), NAMED, message="own time"),
        Case("a.jpg", taken("yesterday"), taken("yesterday"), NAMED, SMALLER),
    ],
    "credentials-dropped": [
        Case(
            "a.jpg",
            with_segments(PLAIN, [(0xFFEB, b"JP\0\1\0\0\0\1" + C2PA)]),
            with_segments(PLAIN, [(0xFFEB, b"JP\0\1\0\0\0\1" + C2PA)]),
            message="C2PA",
            quiet_words={**SMALLER, "metadata": "none"},
        )
    ],
    "damaged": [Case("a.jpg", with_hole(), PLAIN, message="missing or wrong", salvage=True)],
    "depth-reduced": [
        Case("a.png", grey_16(), grey_16(), JPEG, {"format": "tiff"}, message="JPEG"),
        Case("a.png", grey_16(), grey_16(), {"filters": ["sharpen"]}, SMALLER),
    ],
    "end-missing": [Case("a.jpg", PLAIN[:-2], PLAIN, message="end marker")],
    "enlarged": [
        Case(
            "a.jpg",
            PLAIN,
            PLAIN,
            {"sizes": ["100"], "enlarge": True},
            {"sizes": ["100"]},
            message="60 x 40",
        ),
        Case(
            "a.jpg", PLAIN, PLAIN, {"sizes": ["61x"], "enlarge": True}, {**SMALLER, "enlarge": True}
        ),
    ],
    "exif-broken": [
        Case("a.png", exif_that_is(broken=True), exif_that_is(broken=False), message="EXIF")
    ],
    "extras-dropped": [
        Case(
            "a.jpg",
            with_segments(PLAIN, [(0xFFE1, b"FLIR\0\1\0\0")]),
            with_segments(PLAIN, [(0xFFE0, b"JFXX\0\x10")]),
            message="thermal",
        )
    ],
    "frames-dropped": [
        Case("a.gif", two("GIF"), two("GIF"), JPEG, {"format": "webp"}, message="first of 2"),
        Case("a.tif", two("TIFF"), two("TIFF"), {"format": "png"}, SMALLER, message="pages"),
        Case("a.gif", two("GIF"), saved(scene(60, 40), "GIF"), JPEG),
    ],
    "gain-map-dropped": [Case("a.jpg", two("MPO"), PLAIN, message="second picture")],
    "letters-missing": [
        Case(
            "a.jpg",
            PLAIN,
            PLAIN,
            {"filters": ["text:text={date:%Y 年}"]},
            {"filters": ["text:text={date:%Y} © Özgür Łoś"]},
            message="年",
        )
    ],
    "inks-converted": [Case("a.tif", inks("unassalpha"), inks("unspecified"))],
    "made-again": [],
    "metadata-dropped": [
        Case(
            "a.png",
            exif_that_is(broken=False),
            saved(scene(60, 40), "PNG"),
            {"format": "bmp"},
            message="EXIF",
        ),
        Case(
            "a.jpg",
            saved(scene(60, 40), "JPEG", comment=b"a comment"),
            PLAIN,
            {"format": "webp"},
            message="comment",
        ),
        Case(
            "a.jpg",
            saved(scene(60, 40), "JPEG", xmp=PANORAMA),
            saved(scene(60, 40), "JPEG", xmp=PANORAMA),
            {"filters": ["flip"]},
            SMALLER,
            message="GPano",
        ),
    ],
    "not-linear": [
        Case(
            "a.jpg",
            saved(Image.fromarray(scene(60, 40)).convert("CMYK"), "JPEG"),
            PLAIN,
            {**SMALLER, "linear": True},
        )
    ],
    "profile-dropped": [
        Case("a.jpg", saved(scene(60, 40), "JPEG", icc_profile=b"no profile"), PLAIN)
    ],
    "range-scaled": [Case("a.tif", floats(100_000), floats(1), message="100000")],
    "scaled-down": [
        Case(
            "a.png",
            noise(),
            noise(),
            {**JPEG, "max_bytes": 2_000},
            {**JPEG, "max_bytes": 20_000},
            message="2,000",
        )
    ],
    "sizes-dropped": [
        Case(
            "a.ico",
            saved(scene(64, 64), "ICO", sizes=[(64, 64), (32, 32), (16, 16)]),
            saved(scene(64, 64), "ICO", sizes=[(64, 64)]),
            message="3 sizes",
        )
    ],
    "tone-mapped": [
        Case(
            "a.avif",
            hdr(16),
            hdr(13),
            {**SMALLER, "format": "jpeg"},
            message="PQ",
        ),
        Case(
            "a.avif",
            hdr(18),
            hdr(18),
            {**SMALLER, "filters": ["sepia"]},
            SMALLER,
            message="HLG",
        ),
    ],
    "truncated": [Case("a.jpg", PLAIN[:-200], PLAIN, message="cut short", salvage=True)],
    "video-dropped": [Case("a.jpg", motion_photo(), PLAIN, message="video")],
}

EVERY: Final = [
    pytest.param(kind, case, id=f"{kind}-{number}")
    for kind, cases in CASES.items()
    for number, case in enumerate(cases)
]


def only(tmp_path: Path, case: Case, *, quiet: bool = False, strict: bool = False) -> Result:
    file = tmp_path / case.name
    file.write_bytes(case.quiet if quiet else case.warns)
    words = case.quiet_words if quiet and case.quiet_words is not None else case.words
    (result,) = imgbatch.run(
        imgbatch.Recipe.from_options(**words),
        [file],
        output=tmp_path / "out",
        jobs=1,
        strict=strict,
        salvage=case.salvage,
    )
    return result


def test_every_kind_is_known_documented_and_tested_here() -> None:
    assert set(NOTICES) == set(get_args(NoticeKind)) == set(CASES)
    # What happens only in place is in test_reruns.
    assert [kind for kind, cases in CASES.items() if not cases] == ["made-again"]
    table = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    assert [kind for kind in NOTICES if f"`{kind}`" not in table] == []
    # The code emits no others: each place is typed, and names one of these.
    package = Path(imgbatch.__file__).parent
    told = {
        kind
        for file in package.rglob("*.py")
        for kind in re.findall(
            r'(?:Notice|with_notice)\(\s*"([\w-]+)"', file.read_text(encoding="utf-8")
        )
    }
    assert told <= set(NOTICES)


@pytest.mark.parametrize(("kind", "case"), EVERY)
def test_warning_appears_when_it_should(tmp_path: Path, kind: NoticeKind, case: Case) -> None:
    result = only(tmp_path, case)
    assert result.failure is None
    assert [notice.kind for notice in result.notices] == [kind]
    assert case.message in result.notices[0].message
    assert all(Path(one.path).stat().st_size for one in result.written)


@pytest.mark.parametrize(("kind", "case"), EVERY)
def test_no_warning_when_it_should_not_appear(tmp_path: Path, kind: NoticeKind, case: Case) -> None:
    result = only(tmp_path, case, quiet=True, strict=True)
    assert (result.failure, result.notices) == (None, ())


@pytest.mark.parametrize(("kind", "case"), EVERY)
def test_strict_turns_a_warning_into_a_failure_and_writes_nothing(
    tmp_path: Path, kind: NoticeKind, case: Case
) -> None:
    result = only(tmp_path, case, strict=True)
    assert result.failure is not None
    assert result.failure.kind == kind
    assert "--strict" in result.failure.message
    assert case.message in result.failure.message
    assert list((tmp_path / "out").glob("a*")) == []


@pytest.mark.slow
def test_strict_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/clear.png").write_bytes(with_alpha(90))
    (tmp_path / "in/opaque.png").write_bytes(with_alpha(255))
    words = (*("convert", "in", "-f", "jpeg", "-o", "out", "--report", "r"), "-j", "2")
    codes = []
    for more in ((), ("--strict", "--force")):
        run = subprocess.run(
            [sys.executable, "-m", "imgbatch", *words, *more],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        codes.append(run.returncode)
        by_source, _ = rows((tmp_path / "r").read_bytes())
    assert codes == [0, 1]
    assert by_source["in/opaque.png"]["status"] == "done"
    refused = by_source["in/clear.png"]
    assert (refused["status"], refused["error"]["kind"]) == ("failed", "alpha-flattened")
    assert "warnings" not in refused
