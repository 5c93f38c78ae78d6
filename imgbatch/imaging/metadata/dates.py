"""When a picture was taken: from EXIF, XMP or IPTC, in whatever form it was written.

Exif 2.32 (4.6.5) has one form, `2024:05:31 18:20:05`; programs write many more. Everything
that exiftool reads is read here, and so are clocks with AM and PM, and dates without separators.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final, NamedTuple

from imgbatch.imaging.metadata import exif as exif_block
from imgbatch.imaging.metadata import iptc
from imgbatch.imaging.metadata.exif import Exif
from imgbatch.model import LATEST_NS, Dated, DateSource

if TYPE_CHECKING:
    from imgbatch.imaging.picture import Metadata

_SECOND_NS: Final = 10**9
_FRACTION_DIGITS: Final = 9
_SHOWN: Final = 40

# Any separators, as cameras have written slashes, blanks and what not; what follows is ignored.
_NUMBER: Final = r"\D{1,3}(\d{1,2})(?!\d)"
_DATE: Final = re.compile(
    rf"[^\d\w]{{0,9}}(\d{{4}})(?!\d)(?:{_NUMBER}(?:{_NUMBER}(?:{_NUMBER}(?:{_NUMBER}"
    rf"(?:{_NUMBER}(?:[.,](\d{{1,99}}))?)?)?)?)?)?"
)
# IPTC's form, and ISO 8601's basic one.
_COMPACT: Final = re.compile(
    r"\s{0,9}(\d{4})(\d\d)(\d\d)(?:[T ]?(\d\d)(\d\d)(?:(\d\d)(?:[.,](\d{1,99}))?)?)?(?!\d)"
)
_ZONE: Final = re.compile(r"(?<=\d)\s{0,3}(?:(Z|UTC|GMT)|([+-])(\d\d):?([0-5]\d))\s{0,99}\Z", re.I)
_HALF: Final = re.compile(r"\s{0,3}([ap])\.?m\b", re.I)
_XMP: Final = re.compile(
    rb"\b(exif:DateTimeOriginal|exif:DateTimeDigitized|photoshop:DateCreated|(?:xmp|xap):CreateDate)"
    rb"(?:\s{0,99}=\s{0,99}[\"']|(?:\s[^<>]{0,99})?>)([^<\"']{1,99})"
)
_OF_XMP: Final[tuple[tuple[bytes, DateSource], ...]] = (
    (b"exif:DateTimeOriginal", "XMP-exif:DateTimeOriginal"),
    (b"exif:DateTimeDigitized", "XMP-exif:DateTimeDigitized"),
    (b"photoshop:DateCreated", "XMP-photoshop:DateCreated"),
    (b"xmp:CreateDate", "XMP-xmp:CreateDate"),
)
_OF_IPTC: Final[tuple[tuple[tuple[int, int], tuple[int, int], DateSource], ...]] = (
    ((2, 55), (2, 60), "IPTC:DateCreated"),
    ((2, 62), (2, 63), "IPTC:DigitalCreationDate"),
)


class Moment(NamedTuple):
    """A time on the clock of the camera, to the second; nanoseconds beyond it; and its zone.

    A leap second is the 59th, with more than a second beyond it.
    """

    clock: datetime
    fraction: int = 0
    zone: timezone | None = None

    @property
    def text(self) -> str:
        """In EXIF's form."""
        day, time = self.clock.date(), self.clock.time()
        return f"{day.year:04}:{day.month:02}:{day.day:02} {time:%H:%M:%S}"

    @property
    def ns(self) -> int:
        """Nanoseconds since 1970. Without a zone, this machine's is assumed."""
        try:
            seconds = int(self.clock.replace(tzinfo=self.zone).timestamp())
        except (ValueError, OverflowError, OSError):
            # A year for which this system has no local time.
            seconds = int(self.clock.replace(tzinfo=UTC).timestamp())
        return max(-LATEST_NS, min(seconds * _SECOND_NS + self.fraction, LATEST_NS))


class Captured(NamedTuple):
    """When a picture was taken, None if unknown, and which field said so."""

    moment: Moment | None
    dated: Dated


class _Field(NamedTuple):
    """A date as it was written; EXIF has its fraction and its zone in fields of their own."""

    source: DateSource
    text: str
    fraction: str | None = None
    zone: str | None = None


def captured(
    exif: Exif | None,
    packet: Callable[[], bytes | None],
    records: Callable[[], bytes | None],
) -> Captured:
    """When a picture was taken: by EXIF, XMP, IPTC, or GPS, in this order.

    XMP and IPTC are asked for only if they are needed, and XMP is searched by patterns.
    """
    unread: list[str] = []
    for field in _fields(exif, packet, records):
        try:
            moment = parsed(field.text, field.fraction, field.zone)
        except ValueError:
            unread.append(f"{field.text[:_SHOWN]!r} ({field.source})")
            continue
        if moment is None:
            continue
        if field.source == "EXIF:GPSDateStamp" and moment.zone:
            moment = _here(moment)
        return Captured(moment, Dated(field.source, ", ".join(unread)))
    return Captured(None, Dated("mtime", ", ".join(unread)))


def of(metadata: Metadata) -> Captured:
    """When a decoded picture was taken, by its metadata."""
    return captured(metadata.exif, lambda: metadata.xmp, lambda: metadata.iptc)


def _fields(
    exif: Exif | None,
    packet: Callable[[], bytes | None],
    records: Callable[[], bytes | None],
) -> Iterator[_Field]:
    if exif is not None:
        yield from _of_exif(exif)
    if (raw := packet()) is not None:
        yield from _of_xmp(raw)
    if (raw := records()) is not None:
        yield from _of_iptc(raw)
    if exif is not None and (stamp := exif.gps_time):
        yield _Field("EXIF:GPSDateStamp", stamp)


def _of_exif(exif: Exif) -> Iterator[_Field]:
    if original := exif.text(exif_block.DATE_TIME_ORIGINAL):
        fraction = exif.text(exif_block.SUBSEC_TIME_ORIGINAL)
        zone = exif.text(exif_block.OFFSET_TIME_ORIGINAL)
        yield _Field("EXIF:DateTimeOriginal", original, fraction, zone)
    if digitized := exif.text(exif_block.DATE_TIME_DIGITIZED):
        fraction = exif.text(exif_block.SUBSEC_TIME_DIGITIZED)
        zone = exif.text(exif_block.OFFSET_TIME_DIGITIZED)
        yield _Field("EXIF:DateTimeDigitized", digitized, fraction, zone)


def _of_xmp(packet: bytes) -> Iterator[_Field]:
    found: dict[bytes, bytes] = {}
    for name, text in _XMP.findall(packet):
        if text.strip():
            found.setdefault(name.replace(b"xap:", b"xmp:"), text.strip())
    for name, source in _OF_XMP:
        if name in found:
            yield _Field(source, found[name].decode("utf-8", "replace"))


def _of_iptc(records: bytes) -> Iterator[_Field]:
    try:
        sets = {one.name: one.value for one in iptc.parsed(records)}
    except ValueError:
        return
    for day, time, source in _OF_IPTC:
        if date := sets.get(day, b"").decode("latin-1").strip():
            yield _Field(source, f"{date} {sets.get(time, b'').decode('latin-1')}".strip())


def parsed(text: str, fraction: str | None = None, zone: str | None = None) -> Moment | None:
    """A date in words and numbers; None if it is blank or only zeros.

    The year comes first, and then whatever there is of month, day, hour, minute and second; what
    is missing is the first. `fraction` (digits after the second) and `zone` (`+02:00`) count
    where the text itself has none. Raises ValueError for anything else.
    """
    if not any(one.isalnum() and one != "0" for one in text):
        return None
    rest, offset = text, _zone(zone or "")
    if found := _ZONE.search(text):
        rest, offset = text[: found.start()], _zone(found[0])
    match = _COMPACT.match(rest) or _DATE.match(rest)
    if match is None or (found and found[2] and match[4] is None):
        raise ValueError("not a date")
    if match[6] is None and any(one.isdigit() for one in rest[match.end() :]):
        raise ValueError("not a date")
    year, month, day, hour, minute, second = (int(one or 0) for one in match.groups()[:6])
    if not (year or month or day):
        return None
    if half := _HALF.match(rest, match.end()):
        hour = hour % 12 + (12 if half[1] in "pP" else 0)
    if hour > 24 or minute > 59 or second > 60:
        raise ValueError("not a time")
    # 24:00 is the beginning of the next day.
    length = timedelta(hours=hour, minutes=minute, seconds=min(second, 59))
    try:
        clock = datetime(year, month or 1, day or 1) + length
    except (ValueError, OverflowError):
        raise ValueError("not a date") from None
    beyond = _nanoseconds(match[7] or fraction or "") + (_SECOND_NS if second == 60 else 0)
    return Moment(clock, beyond, offset)


def _nanoseconds(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit()):
        return 0
    return int(digits[:_FRACTION_DIGITS].ljust(_FRACTION_DIGITS, "0"))


def _zone(text: str) -> timezone | None:
    # A digit before it is what the pattern looks back at.
    found = _ZONE.fullmatch(f"0{text}", 1)
    if found is None:
        return None
    if found[1]:
        return UTC
    minutes = 60 * int(found[3]) + int(found[4])
    try:
        return timezone(timedelta(minutes=-minutes if found[2] == "-" else minutes))
    except ValueError:
        return None


def _here(moment: Moment) -> Moment:
    """The same moment on this machine's clocks."""
    try:
        clock = moment.clock.replace(tzinfo=moment.zone).astimezone()
    except (ValueError, OverflowError, OSError):
        return moment
    zone = timezone(clock.utcoffset() or timedelta())
    return Moment(clock.replace(tzinfo=None), moment.fraction, zone)
