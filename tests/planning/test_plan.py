"""Targets, what is in their way, and how jobs are cut into chunks."""

from __future__ import annotations

import builtins
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from toolkit.folders import plant
from toolkit.pictures import exif_block, saved, scene, with_metadata
from toolkit.planning import planned, refusal, targets

from imgbatch.errors import UsageError
from imgbatch.imaging import formats
from imgbatch.model import OnConflict, Source
from imgbatch.planning.chunks import CHUNK_COST, FILE_COST, chunks
from imgbatch.planning.in_place import InPlace
from imgbatch.planning.plan import plan
from imgbatch.planning.scan import Selection, scan
from imgbatch.planning.to_folder import ToFolder
from imgbatch.recipes.recipe import Recipe

# Names


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ("a.jpg", {}, ["a.jpg"]),
        ("a.JPG", {}, ["a.JPG"]),
        ("a.jpe", {"format": "keep"}, ["a.jpe"]),
        ("a.mpo", {}, ["a.jpg"]),
        ("a.jpeg", {"format": "jpeg"}, ["a.jpg"]),
        ("two.dots.png", {"format": "webp"}, ["two.dots.webp"]),
        ("x/y/a.png", {"format": "avif"}, ["x/y/a.avif"]),
        ("x/a.jpg", {"sizes": ["web=90", "40"]}, ["x/a-web.jpg", "x/a-40.jpg"]),
        ("x/a.jpg", {"sizes": ["9"], "template": "{output}/{stem}{ext}"}, ["x/9/a.jpg"]),
        ("x/a.jpg", {"template": "web/{dir}/{stem}{ext}"}, ["web/x/a.jpg"]),
        ("x/a.jpg", {"template": "{dir}/{stem}{ext}"}, ["x/a.jpg"]),
        ("a.jpg", {"template": "{dir}/{stem}{ext}"}, ["a.jpg"]),
        ("x/y/a.jpg", {"template": "{dir}-{stem}{ext}"}, ["x/y-a.jpg"]),
        ("x/a.jpg", {"flat": True}, ["a.jpg"]),
        ("x/a.jpg", {"flat": True, "template": "{dir}/{stem}{ext}"}, ["x/a.jpg"]),
        ("a.jpg", {"template": "{stem}_{{x}}{ext}"}, ["a_{x}.jpg"]),
        ("x/y/a.jpg", {"template": "{parent}-{stem}{ext}"}, ["x/y/y-a.jpg"]),
        ("x/y/a.jpg", {"template": "{parent}-{stem}{ext}", "flat": True}, ["y-a.jpg"]),
        ("a.jpg", {"template": "{parent}-{stem}{ext}"}, ["in-a.jpg"]),
        ("x/A b.JPG", {"template": "{stem!l}{ext!l}"}, ["x/a b.jpg"]),
        ("a.jpg", {"sizes": ["web=9"], "template": "{output!u}/{stem!u:>3}{ext}"}, ["WEB/  A.jpg"]),
    ],
)
def test_target_is_named_by_the_template_below_the_mirrored_folder(
    tmp_path: Path, source: str, options: dict[str, Any], expected: list[str]
) -> None:
    made = planned(plant(tmp_path / "in", source), tmp_path / "out", **options)

    assert targets(made) == {source: expected}
    made.check()


def test_running_number_follows_the_order_of_names(tmp_path: Path) -> None:
    folder = plant(tmp_path / "in", "c.jpg", "a.jpg", "sub/b.jpg")

    made = planned(folder, tmp_path / "out", template="{seq:03d}{ext}")

    assert targets(made) == {
        "a.jpg": ["001.jpg"],
        "c.jpg": ["002.jpg"],
        "sub/b.jpg": ["sub/003.jpg"],
    }


def test_suffix_follows_the_picture_only_if_the_format_is_kept(tmp_path: Path) -> None:
    folder = plant(tmp_path / "in", "a.jpg")

    for word, follows in (("keep", True), ("png", False)):
        (job,) = planned(folder, tmp_path / "out", format=word).jobs
        assert [one.any_suffix for one in job.targets] == [follows]


def test_header_fields_describe_the_upright_picture(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    # 96 x 64 as stored, 64 x 96 upright; shrunk to 48 on the long edge that is 32 x 48.
    exif = exif_block(orientation=6).block
    (folder / "a.jpg").write_bytes(with_metadata(scene(96, 64), "JPEG", exif=exif))

    made = planned(
        folder,
        tmp_path / "out",
        sizes=["48"],
        template="{date:%Y}/{date:%m-%d_%H%M%S}/{camera}_{width}x{height}_{date}{ext}",
    )

    assert targets(made) == {"a.jpg": ["2024/05-17_180309/Testa 7_32x48_2024-05-17.jpg"]}


def test_missing_header_fields_have_documented_fallbacks(tmp_path: Path) -> None:
    folder = plant(tmp_path / "in", "plain.jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xffnothing")
    changed = datetime(2019, 3, 4, 12, 30)
    for name in ("plain.jpg", "broken.jpg"):
        os.utime(folder / name, (changed.timestamp(), changed.timestamp()))

    made = planned(
        folder,
        tmp_path / "out",
        template="{stem}_{date:%Y%m%d-%H%M}_{camera}_{width}x{height}{ext}",
    )

    assert targets(made) == {
        "broken.jpg": ["broken_20190304-1230_unknown_0x0.jpg"],
        "plain.jpg": ["plain_20190304-1230_unknown_60x40.jpg"],
    }
    made.check()


@pytest.mark.parametrize("template", [None, "{seq}-{stem}-{dir}-{output}{ext}"])
def test_no_file_is_opened_for_names_that_need_no_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str | None
) -> None:
    folder = plant(tmp_path / "in", "a.jpg", "sub/b.jpg")

    def refuse(*arguments: Any, **options: Any) -> None:
        pytest.fail(f"opened {arguments[0]}")

    monkeypatch.setattr(builtins, "open", refuse)
    made = planned(folder, tmp_path / "out", template=template)
    monkeypatch.undo()

    assert len(made.jobs) == 2


# Leaving the output folder


@pytest.mark.parametrize(
    "template",
    ["../{stem}{ext}", "x/../../{stem}{ext}", "/elsewhere/{stem}{ext}", "..\\{stem}{ext}"],
)
def test_template_outside_the_folder_is_refused_by_name(template: str) -> None:
    with pytest.raises(UsageError, match=r"leaves the output folder: use --output"):
        Recipe.from_options(template=template)


@pytest.mark.parametrize("on_conflict", get_args(OnConflict))
def test_field_cannot_lead_out_of_the_folder(tmp_path: Path, on_conflict: OnConflict) -> None:
    file = plant(tmp_path / "in", ".a.jpg") / ".a.jpg"
    recipe = Recipe.from_options(template=".{stem:.1}/{seq}{ext}")

    sources = scan([str(file)], Selection())
    made = plan(sources, ToFolder(recipe, str(tmp_path / "out"), on_conflict=on_conflict))

    message = refusal(made)
    assert f"{file} would be written to ../1.jpg, outside the output folder" in message
    assert "--name" in message
    assert list(made.jobs) == []


@pytest.mark.parametrize(
    ("camera", "name"),
    [
        *(("a/b", "a_b.jpg"), ("/etc\\x", "_etc_x.jpg"), ("a\nb", "a_b.jpg"), ("..", "__.jpg")),
        *(("a:b", "a_b.jpg"), ("Aux", "_Aux.jpg"), ("Inc.", "Inc_.jpg")),
    ],
)
def test_field_cannot_add_folders(tmp_path: Path, camera: str, name: str) -> None:
    _photograph(tmp_path / "in/1.jpg", camera=camera)

    made = planned(tmp_path / "in", tmp_path / "out", template="{camera}{ext}")

    assert targets(made) == {"1.jpg": [name]}


def _photograph(file: Path, *, camera: str) -> None:
    exif = Image.Exif()
    exif[0x0110] = camera
    file.parent.mkdir()
    file.write_bytes(saved(scene(30, 20), "JPEG", exif=exif))


# The folder that a source lies in


def _parents(paths: Sequence[Path], output: Path) -> dict[str, list[str]]:
    sources = scan([str(path) for path in paths], Selection(), output=str(output))
    recipe = Recipe.from_options(template="{dir}/{parent}+{stem}{ext}")
    return targets(plan(sources, ToFolder(recipe, str(output))))


def test_parent_is_the_folder_of_the_file_whatever_was_given(tmp_path: Path) -> None:
    plant(tmp_path, "one/a.jpg", "one/sub/b.jpg", "two/c.jpg")
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "out"

    assert _parents([one, two], out) == {
        "a.jpg": ["one/one+a.jpg"],
        "sub/b.jpg": ["one/sub/sub+b.jpg"],
        "c.jpg": ["two/two+c.jpg"],
    }
    assert _parents([one / "a.jpg"], out) == {"a.jpg": ["one+a.jpg"]}
    assert _parents([one / "a.jpg", two / "c.jpg"], out) == {
        "one/a.jpg": ["one/one+a.jpg"],
        "two/c.jpg": ["two/two+c.jpg"],
    }


def test_parent_has_a_name_for_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path / "shoot", "a.jpg")
    monkeypatch.chdir(tmp_path / "shoot")

    assert _parents([Path(".")], tmp_path / "out") == {"a.jpg": ["shoot+a.jpg"]}
    assert _parents([Path("a.jpg")], tmp_path / "out") == {"a.jpg": ["shoot+a.jpg"]}


def test_parent_at_the_root_is_unknown() -> None:
    top = Source("/", "a.jpg", 1, 1)

    policy = ToFolder(Recipe.from_options(template="{parent}{ext}"), "/out")

    assert targets(plan([top], policy)) == {"a.jpg": ["unknown.jpg"]}


# Dates


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{date:%Y/%m}/{stem}{ext}", "2024/05/a.jpg"),
        ("{date:%Y/week %V/}{stem}{ext}", "2024/week 20/a.jpg"),
        ("{date:%H:%M:%S}{ext}", "18_03_09.jpg"),
        ("{date:%D}{ext}", "05_17_24.jpg"),
        ("{date:%T|%D/x}{ext}", "18_03_09_05_17_24/x.jpg"),
        ("{date!u:%d %b}{ext}", "17 MAY.jpg"),
    ],
)
def test_date_makes_folders_only_by_a_slash_in_its_format(
    tmp_path: Path, template: str, name: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(
        with_metadata(scene(96, 64), "JPEG", exif=exif_block(orientation=1).block)
    )

    assert targets(planned(folder, tmp_path / "out", template=template)) == {"a.jpg": [name]}


# Chunks


SIZES = st.lists(
    st.one_of(st.integers(0, 200_000_000), st.integers(0, 10_000), st.just(5_000_000)), max_size=120
)


@pytest.mark.slow
@given(sizes=SIZES, workers=st.integers(1, 64))
@settings(deadline=None, database=None)
def test_chunks_hold_every_job_once_largest_first_and_shrink_towards_the_end(
    sizes: list[int], workers: int
) -> None:
    def cost(chunk: Sequence[int]) -> int:
        return sum(sizes[index] + FILE_COST for index in chunk)

    cut = list(chunks(sizes, workers))

    flat = [index for chunk in cut for index in chunk]
    assert sorted(flat) == list(range(len(sizes)))
    assert [sizes[index] for index in flat] == sorted(sizes, reverse=True)
    assert all(cut)
    for place, chunk in enumerate(cut):
        # A third of a worker's even share of what is left, and never much more than a second.
        left = sum(map(cost, cut[place:]))
        limit = min(CHUNK_COST, left / (3 * workers))
        assert len(chunk) == 1 or cost(chunk) <= limit
        if place + 1 < len(cut):
            assert cost(chunk) + cost(cut[place + 1][:1]) > limit, "needlessly small"
    assert not cut or len(cut[-1]) == 1


def test_small_files_travel_together(tmp_path: Path) -> None:
    cut = list(chunks([10_000] * 4000, 2))

    assert len(cut[0]) > 300
    assert len(cut) < 100


# Formats of optional packages


def _without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    monkeypatch.setattr(formats, "installed", lambda extra: extra not in missing)


def test_unreadable_format_is_refused_at_once_and_not_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "b.NEF", "c.nef", "d.heic")
    _without(monkeypatch, "raw", "heif")
    refused = refusal(planned(photos, tmp_path / "out"))
    assert refused.count("needs: pip install") == 2
    assert f"2 files such as {photos / 'b.NEF'}: reading .nef needs: pip install " in refused
    assert "'imgbatch[raw]'" in refused
    assert f"{photos / 'd.heic'}: reading .heic needs: pip install 'imgbatch[heif]'" in refused
    assert "--exclude '*.nef'" in refused


def test_only_the_missing_package_is_requested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "b.nef", "d.heic")
    _without(monkeypatch, "heif")
    assert "raw" not in refusal(planned(photos, tmp_path / "out"))
    _without(monkeypatch)
    assert len(planned(photos, tmp_path / "out").jobs) == 3


def test_raw_file_becomes_a_jpeg_or_the_requested_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = plant(tmp_path / "photos", "a.NEF", "b.dng", "c.heic")
    _without(monkeypatch)
    assert targets(planned(photos, tmp_path / "out")) == {
        "a.NEF": ["a.jpg"],
        "b.dng": ["b.jpg"],
        "c.heic": ["c.heic"],
    }
    as_png = targets(planned(photos, tmp_path / "out", format="png"))
    assert list(as_png.values()) == [["a.png"], ["b.png"], ["c.png"]]


def test_raw_file_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = plant(tmp_path / "photos", "a.jpg", "b.cr3")
    _without(monkeypatch)
    sources = scan([str(photos)], Selection(), in_place=True)
    made = plan(sources, InPlace(Recipe.from_options(), str(photos)))
    assert [job.source.relative for job in made.jobs] == ["a.jpg"]
    refused = refusal(made)
    assert "b.cr3 is a camera's raw file" in refused
    assert "--output" in refused


def test_in_place_also_requests_missing_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = plant(tmp_path / "photos", "b.heic")
    _without(monkeypatch, "heif")
    sources = scan([str(photos)], Selection(), in_place=True)
    assert "reading .heic needs" in refusal(
        plan(sources, InPlace(Recipe.from_options(), str(photos)))
    )
