"""Hostile metadata are bounded and reported, and the picture is still made."""

from __future__ import annotations

import functools
import hashlib
import os
import struct
import zlib
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest
from toolkit import pictures
from toolkit.commands import imgbatch as command
from toolkit.pictures import saved, scene, with_segments

import imgbatch
from imgbatch.imaging import limits
from imgbatch.imaging.codecs import png_texts
from imgbatch.imaging.containers import jpeg
from imgbatch.imaging.metadata import exif, iptc, xml_tree, xmp
from imgbatch.model import Result

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION: Final = b"http://ns.adobe.com/xmp/extension/\0"
SMALL: Final = saved(scene(60, 40), "JPEG")
APP1, APP2, APP12, APP13, COM = 0xFFE1, 0xFFE2, 0xFFEC, 0xFFED, 0xFFFE


def packet(inside: str = "", attributes: str = "", declared: str = "") -> bytes:
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/" {declared}><rdf:RDF xmlns:rdf="{RDF}">'
        f'<rdf:Description rdf:about="" xmlns:q="u:q" {attributes}>{inside}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def in_two_packets(extended: bytes) -> bytes:
    """A JPEG whose XMP continues in segments of its own (XMP specification, part 3, 1.1.3.1)."""
    guid = hashlib.md5(extended).hexdigest().upper()
    note = 'xmlns:xmpNote="http://ns.adobe.com/xmp/note/"'
    first = packet(attributes=f'{note} xmpNote:HasExtendedXMP="{guid}" q:first="here"')
    head = EXTENSION + guid.encode()
    parts = [
        (APP1, head + struct.pack(">II", len(extended), at) + extended[at : at + 65_000])
        for at in range(0, len(extended), 65_000)
    ]
    return with_segments(SMALL, [(APP1, XMP + first), *parts])


def tiff_with(data: bytes) -> bytes:
    return saved(scene(60, 40), "TIFF", tiffinfo={700: data})


def png_with(*chunks: tuple[bytes, bytes], behind: bool = False) -> bytes:
    whole = saved(scene(60, 40), "PNG")
    more = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    at = len(whole) - 12 if behind else 33
    return whole[:at] + more + whole[at:]


def made(folder: Path, name: str, data: bytes, **options: Any) -> tuple[Result, bytes]:
    """One file through the whole program, in this process; the picture is made in any case."""
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / name).write_bytes(data)
    recipe = imgbatch.Recipe.from_options(sizes=["30"], **options)
    (result,) = imgbatch.run(
        recipe, [folder / "in" / name], output=folder / "out", jobs=1, on_conflict="overwrite"
    )
    assert result.failure is None, result.failure
    after = Path(result.written[0].path).read_bytes()
    assert pictures.opened(after).size == (30, 20)
    return result, after


def warnings_of(result: Result) -> list[tuple[str, str]]:
    return [(notice.kind, notice.message) for notice in result.notices]


# XMP


def lowered(monkeypatch: pytest.MonkeyPatch, **bounds: int) -> None:
    for name, bound in bounds.items():
        monkeypatch.setattr(limits, name, bound)


MANY: Final[dict[str, Callable[[int], bytes]]] = {
    "elements": lambda n: packet("<q:a/>" * n),
    "attributes": lambda n: packet("<q:a " + " ".join(f'q:b{i} = "1"' for i in range(n)) + "/>"),
    "comments": lambda n: packet("<!---->" * n),
    "instructions": lambda n: packet("<?a?>" * n),
    "sections": lambda n: packet("<![CDATA[a]]>" * n),
}
ORIENTATION: Final = 'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="1"'


@pytest.mark.parametrize("kind", MANY)
def test_xmp_with_too_many_elements_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    lowered(monkeypatch, XMP_PARTS=200)
    few, many = (
        MANY[kind](n).replace(b'xmlns:q="u:q"', f'xmlns:q="u:q" {ORIENTATION}'.encode())
        for n in (150, 220)
    )
    result, after = made(tmp_path, "few.tif", tiff_with(few))
    assert (warnings_of(result), b"Orientation" in after, b"rdf:RDF" in after) == ([], False, True)
    result, after = made(tmp_path, "many.tif", tiff_with(many))
    ((notice, message),) = warnings_of(result)
    assert notice == "metadata-dropped"
    assert message.startswith("XMP dropped: it has 2")
    assert message.endswith("parts, and at most 200 are read")
    assert b"rdf:RDF" not in after


@pytest.mark.parametrize(
    ("bound", "inside", "declared", "words"),
    [
        ("XMP_BYTES", "<q:a>" + "b" * 900 + "</q:a>", "", "bytes, and at most 1,000 are read"),
        ("XMP_DEPTH", "<q:a>" * 60 + "</q:a>" * 60, "", "more than 60 nested elements"),
        (
            "XMP_NAMESPACES",
            "<q:a/>",
            " ".join(f'xmlns:n{i}="u:{i}"' for i in range(60)),
            "more than 60 namespaces",
        ),
    ],
)
def test_xmp_is_bounded_in_every_respect(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
    inside: str,
    declared: str,
    words: str,
) -> None:
    data = tiff_with(packet(inside, ORIENTATION, declared))
    assert warnings_of(made(tmp_path, "a.tif", data)[0]) == []
    lowered(monkeypatch, **{bound: 1000 if bound == "XMP_BYTES" else 60})
    result, after = made(tmp_path, "b.tif", data)
    ((kind, message),) = warnings_of(result)
    assert kind == "metadata-dropped"
    assert words in message
    assert b"rdf:RDF" not in after


def test_first_xmp_packet_is_kept_if_the_second_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowered(monkeypatch, XMP_PARTS=200)
    result, after = made(tmp_path, "a.jpg", in_two_packets(packet("<q:a/>" * 300)))
    ((kind, message),) = warnings_of(result)
    assert kind == "metadata-dropped"
    assert message.startswith("a part of XMP dropped: it has 3")
    assert b'q:first="here"' in after
    assert b"<q:a/>" not in after
    # Without metadata, nothing is lost.
    result, _ = made(tmp_path, "a.jpg", in_two_packets(packet("<q:a/>" * 300)), metadata="none")
    assert warnings_of(result) == []


@pytest.mark.slow
def test_three_hundred_thousand_elements_cost_next_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(in_two_packets(packet("<q:a/>" * 300_000)))
    words = ("resize", "a.jpg", "-s", "30", "-o", "out", "--memory", "200MB")
    done = command(*words, "--name", "{camera}-{stem}{ext}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    (file,) = (tmp_path / "out").glob("*.jpg")
    assert file.stat().st_size < 5_000


@pytest.mark.slow
def test_namespaces_are_declared_once_however_many_elements_use_them(tmp_path: Path) -> None:
    """What does not fit into a JPEG's first packet moves to another, one element at a time."""
    declared = " ".join(f'xmlns:n{i}="u:{i}"' for i in range(50))
    whole = packet("<n7:a/>" * 9_000, declared=declared)
    _, after = made(tmp_path, "a.jpg", in_two_packets(whole))
    assert after.count(b"<n7:a/>") == 9_000
    assert after.count(b"xmlns:n7=") <= 2
    assert len(after) < 1.2 * len(whole)


def test_prefix_with_two_meanings_is_declared_where_it_is_used() -> None:
    first = packet('<q:a/><p:b xmlns:p="u:p"/>')
    second = packet("<q:c/>").replace(b'"u:q"', b'"u:other"')
    merged = xml_tree.parsed(xmp.merged(first, second))
    names = {
        child.name
        for above, _ in xml_tree.found(merged, (RDF, "Description"))
        for child in above.elements
    }
    assert names == {("u:q", "a"), ("u:p", "b"), ("u:other", "c")}


def test_moved_element_takes_only_the_declarations_it_needs() -> None:
    parent, scope = xml_tree.Element(("", "p"), "p"), {"a": "u:a"}
    plain = xml_tree.Element(("u:a", "b"), "a:b", [], [xml_tree.Element(("u:z", "y"), "z:y")])
    xml_tree.adopt(parent, scope, plain, {"a": "u:a", "z": "u:z", "unused": "u:u"})
    assert xml_tree.written(parent) == b'<p xmlns:z="u:z"><a:b><z:y/></a:b></p>'


def no_xml(data: bytes) -> xml_tree.Element:
    raise AssertionError("XMP was taken apart")


@pytest.mark.parametrize("policy", ["all", "none"])
def test_xmp_is_parsed_only_if_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    data = in_two_packets(packet("<q:a/>", ORIENTATION.replace('"1"', '"6"')))
    monkeypatch.setattr(xml_tree, "parsed", no_xml)
    if policy == "all":
        with pytest.raises(AssertionError):
            made(tmp_path, "a.jpg", data, metadata=policy)
        return
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(sizes=["30"], metadata=policy)
    (result,) = imgbatch.run(recipe, [tmp_path / "in"], output=tmp_path / "out", jobs=1)
    assert (result.failure, result.notices) == (None, ())
    # Its orientation still counts.
    assert pictures.opened(Path(result.written[0].path).read_bytes()).size == (20, 30)


def test_names_never_require_parsing_xmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_tree, "parsed", no_xml)
    (tmp_path / "a.jpg").write_bytes(in_two_packets(packet("<q:a/>")))
    recipe = imgbatch.Recipe.from_options(
        sizes=["30"], metadata="none", template="{camera}-{date}-{width}-{stem}{ext}"
    )
    output = tmp_path / "out"
    (result,) = imgbatch.run(recipe, [tmp_path / "a.jpg"], output=output, jobs=1, sort="date")
    assert result.failure is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("la" * 100_000, {"metadata": "no-gps"}),
        ("lo" * 100_000, {"metadata": "no-gps"}),
        ("gps" * 70_000, {"metadata": "no-gps"}),
        ("MotionPhoto " * 80_000, {}),
        ("tiff:Orientation=" + " " * 500_000, {}),
        ("exif:PixelXDimension>" + "1" * 500_000, {}),
        ("xmpNote:HasExtendedXMP=" * 1_000 + " " * 500_000, {}),
    ],
    ids=["la", "lo", "gps", "video", "orientation", "size", "extended"],
)
def test_no_pattern_restarts_at_every_character(
    tmp_path: Path, text: str, options: dict[str, str]
) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_with(packet(f"<q:a>{text}</q:a>")))
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    done = command("resize", "a.tif", "-s", "30", "-o", "out", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.slow
def test_metadata_count_towards_memory(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_with(packet("<q:a>" + "QUJD" * 4_000_000 + "</q:a>")))
    words = ("resize", "a.tif", "-s", "30", "-o", "out", "--memory", "150MB")
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert b"MB of memory, and 150 MB are allowed (see --memory)" in done.stderr
    assert command(*words, "--metadata", "none", cwd=tmp_path).returncode == 0
    assert command(*words[:-1], "400MB", cwd=tmp_path).returncode == 0


# EXIF


def block(entries: Iterable[tuple[int, int, int, int]], behind: bytes = b"") -> bytes:
    cells = [struct.pack("<HHII", *one) for one in entries]
    table = struct.pack("<H", len(cells)) + b"".join(cells) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + table + behind


def exif_segments(data: bytes) -> list[tuple[int, bytes]]:
    return [(APP1, exif.PREFIX + data[at : at + 65_000]) for at in range(0, len(data), 65_000)]


@pytest.mark.slow
def test_exif_with_too_many_tags_is_dropped(tmp_path: Path) -> None:
    few = block((number + 10_000, 3, 1, 1) for number in range(limits.EXIF_ENTRIES))
    many = block((number + 10_000, 3, 1, 1) for number in range(limits.EXIF_ENTRIES + 1))
    result, after = made(tmp_path, "a.jpg", with_segments(SMALL, exif_segments(few)))
    assert (warnings_of(result), exif.PREFIX in after) == ([], True)
    result, after = made(tmp_path, "b.jpg", with_segments(SMALL, exif_segments(many)))
    assert warnings_of(result) == [
        ("exif-broken", "EXIF dropped, it is broken: it has more than 5,000 tags")
    ]
    assert exif.PREFIX not in after


@pytest.mark.parametrize("policy", ["all", "no-gps", "copyright"])
def test_overlapping_values_do_not_add_up(tmp_path: Path, policy: str) -> None:
    """Each of a thousand tags claims the whole block, or nearly so."""
    data = block(((number + 1, 7, 50_000, 8) for number in range(1_000)), bytes(45_000))
    result, after = made(
        tmp_path, "a.jpg", with_segments(SMALL, exif_segments(data)), metadata=policy
    )
    assert warnings_of(result) == [
        ("exif-broken", "EXIF dropped, it is broken: none of its tags can be read")
    ]
    assert exif.PREFIX not in after
    behind = 12_014 + 8
    data = block(((number + 1, 7, 45_000, behind) for number in range(1_000)), bytes(45_100))
    # Five times this fits into four times the block.
    assert exif.Exif(data).lost == 995


def test_exif_that_is_too_long_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lowered(monkeypatch, EXIF_BYTES=10_000)
    data = block([(0x0110, 2, 6, 26)], b"Testa\0".ljust(12_000, b"\0"))
    result, after = made(tmp_path, "a.png", png_with((b"eXIf", data)))
    ((kind, message),) = warnings_of(result)
    assert kind == "exif-broken"
    assert "it has 12,026 bytes, and at most 10,000 are read" in message
    assert b"eXIf" not in after


def test_all_duplicates_of_a_tag_are_removed_at_once() -> None:
    tags = [0x0110, 0x0112, 0x0111, 0x0112, 0x013B, 0x0112]
    edited = exif.Exif(block((tag, 3, 1, number) for number, tag in enumerate(tags)))
    edited.remove_orientation()
    assert edited.orientation is None
    left = block((tag, 3, 1, number) for number, tag in enumerate(tags) if tag != 0x0112)
    assert edited.tobytes() == left + bytes(3 * 12)


def test_one_byte_exif_segments_cost_no_more_than_their_bytes() -> None:
    data = pictures.exif_block().block
    payloads = [jpeg.EXIF + data[:4], *(jpeg.EXIF + bytes([one]) for one in data[4:])]
    assert jpeg.joined_exif(payloads) == (data, False)


# JPEG


@pytest.mark.parametrize(("marker", "data"), [(COM, b"x"), (APP12, b"Ducky"), (APP1, EXTENSION)])
def test_first_of_too_many_segments_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marker: int, data: bytes
) -> None:
    lowered(monkeypatch, SEGMENTS=100)
    monkeypatch.setattr(jpeg, "_FEW_BYTES", 0)
    first = [(COM, b"the first")]
    few = with_segments(SMALL, [*first, *[(marker, data)] * 80])
    assert warnings_of(made(tmp_path, "a.jpg", few)[0]) == []
    many = with_segments(SMALL, [*first, *[(marker, data)] * 150])
    result, after = made(tmp_path, "b.jpg", many)
    ((kind, message),) = warnings_of(result)
    assert kind == "metadata-dropped"
    assert "segments before the picture dropped: there are too many to read" in message
    assert b"the first" in after


def test_segments_are_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lowered(monkeypatch, SEGMENT_BYTES=200_000)
    result, _ = made(tmp_path, "a.jpg", with_segments(SMALL, [(APP12, b"Ducky".ljust(60_000))] * 9))
    assert [kind for kind, _ in warnings_of(result)] == ["metadata-dropped"]


def test_iptc_spread_over_many_resources_is_joined_once() -> None:
    one = pictures.image_resource(0x0404, pictures.data_set(2, 25, b"a"))
    assert iptc.from_resources(one * 3) == pictures.data_set(2, 25, b"a") * 3


@pytest.mark.parametrize("bounds", [{"IPTC_SETS": 50}, {"IPTC_BYTES": 300}])
def test_iptc_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, int]
) -> None:
    lowered(monkeypatch, **bounds)
    for count, expected in ((40, []), (60, ["metadata-dropped"])):
        records = pictures.data_set(2, 25, b"a") * count
        segment = pictures.photoshop_segment(pictures.image_resource(0x0404, records))
        result, _ = made(tmp_path, f"{count}.jpg", with_segments(SMALL, [segment]))
        assert [kind for kind, _ in warnings_of(result)] == expected


# PNG


@functools.cache
def packed(size: int) -> bytes:
    return zlib.compress(b"a" * size, 9)


@pytest.mark.slow
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    ("chunk", "kind", "words"),
    [
        ((b"zTXt", b"key\0\0"), "metadata-dropped", "1 of its texts dropped"),
        ((b"iTXt", b"key\0\1\0en\0schl\0"), "metadata-dropped", "1 of its texts dropped"),
        ((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0"), "metadata-dropped", "adobe.xmp dropped"),
        ((b"zTXt", b"Raw profile type exif\0\0"), "metadata-dropped", "exif dropped"),
        ((b"iCCP", b"icc\0\0"), "profile-dropped", "profile dropped"),
    ],
)
def test_chunk_that_unpacks_to_too_much_is_omitted(
    tmp_path: Path, chunk: tuple[bytes, bytes], kind: str, words: str, behind: bool
) -> None:
    bomb = chunk[0], chunk[1] + packed(100_000_000)
    data = png_with(bomb, (b"tEXt", b"Author\0me"), behind=behind)
    result, after = made(tmp_path, "a.png", data)
    ((found, message),) = warnings_of(result)
    assert found == kind
    assert words in message
    assert b"Author\0me" in after


def test_first_of_too_many_texts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lowered(monkeypatch, TEXTS=20)
    monkeypatch.setattr(png_texts, "_FEW_TEXTS", 10)
    data = png_with(*((b"tEXt", b"key%d\0said" % number) for number in range(30)))
    result, after = made(tmp_path, "a.png", data)
    ((_, message),) = warnings_of(result)
    assert message.startswith("10 of its texts dropped")
    assert b"key19\0said" in after
    assert b"key20\0said" not in after


def test_large_profiles_and_packets_of_a_png_are_read(tmp_path: Path) -> None:
    """Pillow alone refuses the picture where they exceed 1 MB."""
    profile = pictures.wide_gamut_profile()
    profile = struct.pack(">I", 3_000_000) + profile[4:].ljust(2_999_996, b"\0")
    long = packet("<q:a>" + "QUJD" * 500_000 + "</q:a>")
    data = png_with(
        (b"iCCP", b"icc\0\0" + zlib.compress(profile)),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(long)),
    )
    (tmp_path / "a.png").write_bytes(data)
    recipe = imgbatch.Recipe.from_options(sizes=["30"])
    (result,) = imgbatch.run(recipe, [tmp_path / "a.png"], output=tmp_path / "out", jobs=1)
    assert (result.failure, result.notices) == (None, ())
    after = Path(result.written[0].path).read_bytes()
    assert long in after
    at = after.index(b"iCCP")
    chunk = after[at + 4 : at + 4 + int.from_bytes(after[at - 4 : at])]
    assert zlib.decompress(chunk.partition(b"\0\0")[2]) == profile


# Profiles, comments


def test_profile_of_absurd_length_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = pictures.wide_gamut_profile()
    lowered(monkeypatch, ICC_BYTES=len(profile))
    data = saved(scene(60, 40), "WEBP", icc_profile=profile)
    assert warnings_of(made(tmp_path, "a.webp", data)[0]) == []
    lowered(monkeypatch, ICC_BYTES=len(profile) - 1)
    result, after = made(tmp_path, "b.webp", data)
    ((kind, message),) = warnings_of(result)
    assert kind == "profile-dropped"
    assert f"it has {len(profile)} bytes" in message
    assert b"ICCP" not in after


@pytest.mark.parametrize("bounds", [{"TEXTS": 50}, {"TEXT_BYTES": 5_000}])
def test_gif_comments_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, int]
) -> None:
    lowered(monkeypatch, **bounds)
    whole = saved(pictures.opened(SMALL).convert("P"), "GIF")
    at = 13 + (6 << (whole[10] & 7))
    first = b"!\xfe\x09the first\0"
    many = b"!\xfe" + (b"\xff" + b"a" * 255) * 100 + b"\0"
    result, after = made(tmp_path, "a.gif", whole[:at] + first + many + whole[at:])
    ((kind, message),) = warnings_of(result)
    assert kind == "metadata-dropped"
    assert "comments of 25,603 bytes dropped" in message
    assert b"the first" in after


def test_later_frames_of_an_animation_carry_no_texts() -> None:
    from imgbatch.imaging.series import apng

    images = [pictures.opened(saved(scene(16, 16), "PNG")).rotate(90 * n) for n in range(3)]
    file = BytesIO()
    images[0].save(file, "PNG", save_all=True, append_images=images[1:])
    data = file.getvalue()
    text = b"key\0" + b"a" * 5_000
    chunk = (
        struct.pack(">I", len(text))
        + b"tEXt"
        + text
        + struct.pack(">I", zlib.crc32(b"tEXt" + text))
    )
    found = apng.read(data[:33] + chunk + data[33:])
    assert found is not None
    assert [b"tEXt" in frame.png for frame in found] == [True, False, False]


def test_every_bound_gives_its_reason() -> None:
    source = Path(limits.__file__).read_text("utf-8")
    for name in (name for name in dir(limits) if name.isupper()):
        assert f"{name}: Final = " in source
        assert source.partition(f"{name}: Final = ")[2].splitlines()[1].startswith('"""'), name


def test_truncated_tiff_directories_are_dropped_with_a_warning(
    tmp_path: Path,
) -> None:
    whole = saved(scene(60, 40), "TIFF")
    (first,) = struct.unpack_from("<I", whole, 4)
    (count,) = struct.unpack_from("<H", whole, first)
    own = [struct.unpack_from("<HHII", whole, first + 2 + 12 * n) for n in range(count)]
    place = len(whole) + len(whole) % 2
    more = [(33_000 + n, 7, limits.EXIF_BYTES // 4 + 1_000, place) for n in range(9)]
    data = bytearray(whole + bytes(place - len(whole) + limits.EXIF_BYTES // 4 + 1_000))
    at = len(data) + len(data) % 2
    data += bytes(at - len(data)) + block(sorted(own + more))[8:]
    struct.pack_into("<I", data, 4, at)
    result, after = made(tmp_path, "a.tif", bytes(data))
    ((kind, message),) = warnings_of(result)
    assert kind == "metadata-dropped"
    assert "cannot be read" in message
    assert len(after) < limits.EXIF_BYTES + 100_000
    assert os.path.getsize(result.written[0].path) == len(after)
