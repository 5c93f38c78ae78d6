"""Capture dates are read as exiftool reads them, from the field that comes first."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from toolkit import pictures
from toolkit.exiftool import exiftool
from toolkit.metadata import with_exiftool

import imgbatch
from imgbatch.imaging import decode
from imgbatch.imaging.containers import tiff
from imgbatch.imaging.metadata import dates
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.model import LATEST_NS, Dated, DateSource, Job, Source
from imgbatch.planning.compact import Jobs
from imgbatch.running import report

BERLIN: Final = "CET-1CEST,M3.5.0,M10.5.0/3"
posix_only = pytest.mark.skipif(not hasattr(time, "tzset"), reason="time zones are set by tzset")
pytestmark = pytest.mark.usefixtures("in_utc")

READ: Final = (
    "2025:01:14 18:31:30",
    "2025:01:14 18:31:30+0000",
    "2025:01:14 18:31:30-05:00",
    "2025:01:14  18:31:30 +01:00",
    "2025:01:14 18:31:30.25",
    "1999:12:31 23:59:59.999999",
    "2025-01-14T18:31:30",
    "2025-01-14T18:31:30Z",
    "2025-01-14T18:31:30,25",
    "2025-01-14T18:31:30.5+05:30",
    "2025-01-14T18:31+02:00",
    "2025-01-14 18-31-30",
    "2025/01/14 18:31:30",
    "2025_01_14 18_31_30",
    "2025:01:14:18:31:30",
    "2025:01:14\t18:31:30",
    "2025: 1: 4  8: 3: 9",
    "2025. 1. 4  8: 3: 9",
    "2025:1:4 8:3:9",
    "(2025:01:14 18:31:30)",
    "2025年01月14日 18:31:30",
    "2025:01:14 18:31:30 GMT",
    "2025:01:14 18:31:30 1",
    "2025:01:14 18:31",
    "2025:01:14 18",
    "2025-01-14",
    "2025:01:14",
    "2025:01",
    "2025",
)
NONE: Final = ("", "    :  :     :  :  ", "0000:00:00 00:00:00", "0000-00-00T00:00:00Z")
UNREADABLE: Final = (
    *("yesterday", "14.01.2025 18:31:30", "14 Jan 2025", "1736879490", "25:01:14 18:31:30"),
    *("2025:13:14 18:31:30", "2025:02:30 10:00:00", "2025:01:14 25:00:00", "2025:01:14 18:61:00"),
    *("2025:01:14 18:31:61", "2025:123:14", "2025-0114", "9999:12:31 24:00:00"),
)


def exif_of(text: str) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = text
    return exif.tobytes().removeprefix(b"Exif\0\0")


@pytest.fixture(scope="module")
def exiftool_reads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """The clock and the seconds since 1970 that exiftool reads from each text in EXIF."""
    folder = tmp_path_factory.mktemp("dates")
    for number, text in enumerate(READ):
        data = pictures.with_metadata(pictures.quarters(), "JPEG", exif=exif_of(text))
        (folder / f"{number:03}.jpg").write_bytes(data)
    asked = []
    for form in ("%Y:%m:%d %H:%M:%S", "%s"):
        words = ["-T", "-q", "-fileOrder", "FileName", "-d", form, "-DateTimeOriginal"]
        asked.append(exiftool(*words, folder).decode().splitlines())
    return dict(zip(READ, zip(*asked, strict=True), strict=True))


@with_exiftool
@pytest.mark.parametrize("text", READ)
def test_date_is_read_as_exiftool_reads_it(
    exiftool_reads: dict[str, tuple[str, str]], text: str
) -> None:
    moment = dates.parsed(Exif(exif_of(text)).text(0x9003) or "")
    assert moment is not None
    clock, seconds = exiftool_reads[text]
    assert moment.text == clock
    assert moment.ns // 10**9 == int(seconds)


@pytest.mark.parametrize("text", NONE)
def test_blank_or_zero_is_no_date(text: str) -> None:
    assert dates.parsed(text) is None


@pytest.mark.parametrize("text", UNREADABLE)
def test_anything_else_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        dates.parsed(text)


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        # exiftool has no noon, and takes these for numbers that are no year.
        ("2025:01:14 06:31:30 PM", "2025:01:14 18:31:30"),
        ("2025:01:14 12:31:30 a.m.", "2025:01:14 00:31:30"),
        ("20250114", "2025:01:14 00:00:00"),
        ("20250114T183130", "2025:01:14 18:31:30"),
        ("20250114 183130+0100", "2025:01:14 18:31:30"),
        # For exiftool the 30th of November before.
        ("2025:00:00 00:00:00", "2025:01:01 00:00:00"),
        ("2025:01:14 24:00:00", "2025:01:15 00:00:00"),
    ],
)
def test_date_that_exiftool_reads_otherwise(text: str, clock: str) -> None:
    moment = dates.parsed(text)
    assert moment is not None
    assert moment.text == clock


def test_leap_second_stays_in_its_minute_and_comes_after_the_others() -> None:
    last, leap, after = (
        dates.parsed(text)
        for text in ("2016:12:31 23:59:59.9", "2016:12:31 23:59:60", "2017:01:01 00:00:00.1")
    )
    assert last is not None
    assert leap is not None
    assert after is not None
    assert leap.text == "2016:12:31 23:59:59"
    assert last.ns < leap.ns < after.ns


def _ns(*moment: int, fraction: int = 0) -> int:
    """Nanoseconds since 1970, computed from the calendar alone."""
    year, month, day, hour, minute, second = moment
    days = datetime(year, month, day).toordinal() - datetime(1970, 1, 1).toordinal()
    return (days * 86400 + hour * 3600 + minute * 60 + second) * 10**9 + fraction


DATE: Final = "2024:05:17 18:03:09"


@pytest.mark.parametrize(
    ("date", "fraction", "zone", "expected"),
    [
        (DATE, None, None, _ns(2024, 5, 17, 18, 3, 9)),
        (DATE, "5", None, _ns(2024, 5, 17, 18, 3, 9, fraction=500_000_000)),
        (DATE, "05", None, _ns(2024, 5, 17, 18, 3, 9, fraction=50_000_000)),
        (DATE, "123", None, _ns(2024, 5, 17, 18, 3, 9, fraction=123_000_000)),
        (DATE, "1234567899", None, _ns(2024, 5, 17, 18, 3, 9, fraction=123456789)),
        (DATE, "-1", None, _ns(2024, 5, 17, 18, 3, 9)),
        (DATE, "²", None, _ns(2024, 5, 17, 18, 3, 9)),
        (f"{DATE}.75", "5", None, _ns(2024, 5, 17, 18, 3, 9, fraction=750_000_000)),
        (DATE, None, "+02:00", _ns(2024, 5, 17, 16, 3, 9)),
        (DATE, "25", "-05:30", _ns(2024, 5, 17, 23, 33, 9, fraction=250_000_000)),
        (DATE, None, "+0545", _ns(2024, 5, 17, 12, 18, 9)),
        (DATE, None, "+00:00", _ns(2024, 5, 17, 18, 3, 9)),
        (DATE, None, "Z", _ns(2024, 5, 17, 18, 3, 9)),
        (f"{DATE}+02:00", None, "-05:00", _ns(2024, 5, 17, 16, 3, 9)),
        *(
            (DATE, None, nonsense, _ns(2024, 5, 17, 18, 3, 9))
            for nonsense in ("+24:00", "+99:99", "02:00", "+2", "   :  ", "+02:00 and more")
        ),
        ("1969:12:31 23:59:59", "75", None, _ns(1969, 12, 31, 23, 59, 59, fraction=750_000_000)),
        ("0001:01:01 00:00:00", None, None, -LATEST_NS),
        ("9999:12:31 23:59:59", "9", "-23:59", LATEST_NS),
    ],
)
def test_moment_counts_fraction_and_zone(
    date: str, fraction: str | None, zone: str | None, expected: int
) -> None:
    moment = dates.parsed(date, fraction, zone)
    assert moment is not None
    assert moment.ns == expected


@posix_only
def test_date_without_a_zone_is_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", BERLIN)
    time.tzset()
    for date, zone, expected in (
        (DATE, None, _ns(2024, 5, 17, 16, 3, 9)),
        ("2024:01:17 18:03:09", None, _ns(2024, 1, 17, 17, 3, 9)),
        ("2024:01:17 18:03:09", "+00:00", _ns(2024, 1, 17, 18, 3, 9)),
    ):
        moment = dates.parsed(date, None, zone)
        assert moment is not None
        assert moment.ns == expected


# Which field says so

FIELDS: Final[tuple[tuple[DateSource, tuple[str, ...], str], ...]] = (
    ("EXIF:DateTimeOriginal", ("ExifIFD:DateTimeOriginal=2025:01:01 10:00:00",), "2025-01-01"),
    ("EXIF:DateTimeDigitized", ("ExifIFD:CreateDate=2025:01:02 10:00:00",), "2025-01-02"),
    (
        "XMP-exif:DateTimeOriginal",
        ("XMP-exif:DateTimeOriginal=2025:01:03 10:00:00",),
        "2025-01-03",
    ),
    (
        "XMP-exif:DateTimeDigitized",
        ("XMP-exif:DateTimeDigitized=2025:01:04 10:00:00",),
        "2025-01-04",
    ),
    ("XMP-photoshop:DateCreated", ("XMP-photoshop:DateCreated=2025:01:05",), "2025-01-05"),
    ("XMP-xmp:CreateDate", ("XMP-xmp:CreateDate=2025:01:06 10:00:00+01:00",), "2025-01-06"),
    (
        "IPTC:DateCreated",
        ("IPTC:DateCreated=2025:01:07", "IPTC:TimeCreated=10:00:00+01:00"),
        "2025-01-07",
    ),
    ("IPTC:DigitalCreationDate", ("IPTC:DigitalCreationDate=2025:01:08",), "2025-01-08"),
    (
        "EXIF:GPSDateStamp",
        ("GPS:GPSDateStamp=2025:01:09", "GPS:GPSTimeStamp=10:00:00.5"),
        "2025-01-09",
    ),
    ("mtime", (), "2023-11-14"),
)


def dated_files(folder: Path, suffix: str = ".jpg") -> list[Path]:
    """For each field a file that has it and all those after it, written by exiftool."""
    formats = {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF"}
    files: list[Path] = []
    for number, (_, tags, _) in reversed(list(enumerate(FIELDS))):
        file = folder / f"{number}{suffix}"
        before = files[-1].read_bytes() if files else None
        file.write_bytes(before or pictures.saved(pictures.quarters(), formats[suffix]))
        if tags:
            exiftool("-q", "-overwrite_original", *(f"-{one}" for one in tags), file)
        os.utime(file, (1_700_000_000, 1_700_000_000))
        files.append(file)
    return files[::-1]


def run(file: Path, folder: Path, **words: Any) -> imgbatch.Result:
    recipe = imgbatch.Recipe.from_options(**words)
    (result,) = imgbatch.run(recipe, [file], output=folder, jobs=1)
    assert result.failure is None, result.failure
    return result


@pytest.mark.slow
@with_exiftool
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_first_field_that_is_there_counts_and_the_report_names_it(
    tmp_path: Path, suffix: str
) -> None:
    (tmp_path / "in").mkdir()
    for file, (source, _, day) in zip(dated_files(tmp_path / "in", suffix), FIELDS, strict=True):
        if suffix == ".png" and source.startswith("IPTC"):
            # exiftool writes it after the pixels, and headers end before those.
            continue
        result = run(file, tmp_path / "out", sizes=["32"], template="{date}-{stem}{ext}")
        assert Path(result.written[0].path).name == f"{day}-{file.stem}{suffix}"
        assert result.date_source == source
        assert report.row(result)["date_source"] == source
        assert result.notices == ()


@with_exiftool
def test_captions_have_the_same_date(tmp_path: Path) -> None:
    """Even where the output's policy keeps nothing that has it."""
    (tmp_path / "in").mkdir()
    for file, (source, _, day) in zip(dated_files(tmp_path / "in"), FIELDS, strict=True):
        filters = ["text:text={date},size=20", f"text:text={day},size=20"]
        written, literal = (
            run(file, tmp_path / f"{file.stem}-{number}", filters=[one], metadata="none")
            for number, one in enumerate(filters)
        )
        assert written.date_source == source
        assert literal.date_source is None
        files = [Path(one.written[0].path).read_bytes() for one in (written, literal)]
        assert files[0] == files[1]


def test_a_caption_with_a_date_makes_no_loss_of_what_nobody_keeps(tmp_path: Path) -> None:
    c2pa = b"JP\0\1\0\0\0\1" + b"c2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71"
    packet = b"<rdf:Description xmp:CreateDate='2025-01-14'/>"
    data = pictures.with_metadata(pictures.quarters(), "JPEG", xmp=packet)
    (tmp_path / "a.jpg").write_bytes(pictures.with_segments(data, [(0xFFEB, c2pa)]))

    for policy, kinds in {"none": [], "copyright": ["credentials-dropped"]}.items():
        words = {"filters": ["text:text={date:%Y},size=20"], "metadata": policy}
        result = run(tmp_path / "a.jpg", tmp_path / policy, **words)
        assert result.date_source == "XMP-xmp:CreateDate"
        assert [one.kind for one in result.notices if "XMP" not in one.message] == kinds


@with_exiftool
def test_the_first_page_tells_when_the_picture_was_taken(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue")]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    exiftool("-q", "-DateTimeOriginal=2025:01:14 10:00:00", tmp_path / "a.tif")

    result = run(tmp_path / "a.tif", tmp_path / "out", filters=["text:text={date:%Y},size=20"])

    with Image.open(result.written[0].path) as image:
        assert getattr(image, "n_frames", 1) == 2
    assert result.date_source == "EXIF:DateTimeOriginal"


@with_exiftool
def test_the_second_page_does_not_tell_it(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "red").save(tmp_path / "first.tif")
    Image.new("RGB", (60, 40), "blue").save(tmp_path / "second.tif")
    exiftool("-q", "-DateTimeOriginal=2025:01:14 10:00:00", tmp_path / "second.tif")
    parts = [(tmp_path / name).read_bytes() for name in ("first.tif", "second.tif")]
    (tmp_path / "a.tif").write_bytes(tiff.joined(parts))

    result = run(tmp_path / "a.tif", tmp_path / "out", filters=["text:text={date:%Y},size=20"])

    with Image.open(result.written[0].path) as image:
        assert getattr(image, "n_frames", 1) == 2
    assert result.date_source == "mtime"


@posix_only
def test_gps_time_is_on_this_machines_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", BERLIN)
    time.tzset()
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({0x1D: "2025:01:14", 7: (23.0, 31.0, 30.5)})
    found = dates.captured(Exif(exif.tobytes()), lambda: None, lambda: None)
    assert found.moment is not None
    assert found.moment.text == "2025:01:15 00:31:30"
    assert found.moment.ns == _ns(2025, 1, 14, 23, 31, 30, fraction=500_000_000)
    # Without a time the day says more than midnight in Greenwich.
    del exif.get_ifd(0x8825)[7]
    found = dates.captured(Exif(exif.tobytes()), lambda: None, lambda: None)
    assert found.moment is not None
    assert found.moment.text == "2025:01:14 00:00:00"


def never() -> bytes:
    raise AssertionError("nobody should have asked")


def test_nothing_else_is_looked_at_if_exif_has_a_date() -> None:
    found = dates.captured(Exif(exif_of(DATE)), never, never)
    assert found.dated == Dated("EXIF:DateTimeOriginal")


@pytest.mark.parametrize(
    "packet",
    [
        b"<rdf:Description xmp:CreateDate='2025-01-14'/>",
        b'<rdf:Description xap:CreateDate = "2025-01-14"/>',
        b"<xmp:CreateDate> 2025-01-14\n</xmp:CreateDate>",
        b'<xmp:CreateDate rdf:datatype="x">2025-01-14</xmp:CreateDate>',
        b"<xmp:CreateDate></xmp:CreateDate><xmp:CreateDate>2025-01-14</xmp:CreateDate>",
    ],
)
def test_date_is_found_in_every_form_of_xmp(packet: bytes) -> None:
    found = dates.captured(None, lambda: packet, never)
    assert found.moment is not None
    assert found.moment.text == "2025:01:14 00:00:00"
    assert found.dated.source == "XMP-xmp:CreateDate"


def test_broken_iptc_has_no_date() -> None:
    found = dates.captured(None, lambda: None, lambda: b"\x1c\x02\x37\x00\x99")
    assert found == dates.Captured(None, Dated("mtime"))


# What cannot be read is told


def test_unreadable_date_is_told_and_the_next_one_counts(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: "14.01.2025", 0x9004: "2025-01-15"})
    data = pictures.with_metadata(pictures.quarters(), "JPEG", exif=exif.tobytes()[6:])
    (tmp_path / "a.jpg").write_bytes(data)
    result = run(tmp_path / "a.jpg", tmp_path / "out", sizes=["32"], template="{date}{ext}")
    assert Path(result.written[0].path).name == "2025-01-15.jpg"
    assert result.date_source == "EXIF:DateTimeDigitized"
    (notice,) = result.notices
    assert notice.kind == "date-unreadable"
    assert notice.message == (
        "the date '14.01.2025' (EXIF:DateTimeOriginal) cannot be read; EXIF:DateTimeDigitized was "
        "used instead"
    )
    # Nobody asks for it where no name has it.
    plain = run(tmp_path / "a.jpg", tmp_path / "plain", sizes=["32"])
    assert (plain.date_source, plain.notices) == (None, ())


def test_header_has_the_date(tmp_path: Path) -> None:
    data = pictures.with_metadata(pictures.quarters(), "JPEG", exif=exif_of("2025-01-14T10:00:00Z"))
    (tmp_path / "a.jpg").write_bytes(data)
    header = decode.read_header(str(tmp_path / "a.jpg"))
    assert header.date == "2025:01:14 10:00:00"
    moment = dates.Moment(datetime(2025, 1, 14, 10), 0, UTC)
    assert header.captured == dates.Captured(moment, Dated("EXIF:DateTimeOriginal"))


def test_jobs_keep_what_told_the_date() -> None:
    jobs = Jobs()
    source = Source("in", "a.jpg", 1, 1)
    both = [Job(source, (), 1, Dated("mtime", "'x' (EXIF:DateTimeOriginal)")), Job(source, (), 2)]
    for job in both:
        jobs.append(job)
    assert list(jobs) == both
