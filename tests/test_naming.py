"""Name templates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit import ROOT

from imgbatch.errors import UsageError
from imgbatch.naming import FIELDS, Template
from imgbatch.operations import names
from imgbatch.recipes.recipe import Recipe

PROPERTY: Final = settings(max_examples=200, deadline=None, database=None, derandomize=True)

VALUES_OF_NAMES: Final[dict[str, object]] = {
    "stem": "Ørsted 1",
    "ext": ".jpg",
    "dir": "2024/may",
    "parent": "may",
    "output": "web",
    "width": 1600,
    "height": 1067,
    "seq": 7,
    "date": datetime(2024, 5, 31, 18, 4, 9, tzinfo=UTC),
    "camera": "X100V",
}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{stem}{ext}", "Ørsted 1.jpg"),
        ("{stem}-{output}{ext}", "Ørsted 1-web.jpg"),
        ("{dir}/{stem}{ext}", "2024/may/Ørsted 1.jpg"),
        ("{output}/{dir}/{stem}{ext}", "web/2024/may/Ørsted 1.jpg"),
        ("{seq:04d}{ext}", "0007.jpg"),
        ("{width}x{height}{ext}", "1600x1067.jpg"),
        ("{width:06}{ext}", "001600.jpg"),
        ("{date}{ext}", "2024-05-31.jpg"),
        ("{date:%Y%m%d-%H%M%S}{ext}", "20240531-180409.jpg"),
        ("{date:%Y/%m}/{stem}{ext}", "2024/05/Ørsted 1.jpg"),
        ("{camera}_{stem:>10}{ext}", "X100V_  Ørsted 1.jpg"),
        ("{stem:.3}{ext}", "Ørs.jpg"),
        ("{parent}-{seq}{ext}", "may-7.jpg"),
        ("{stem!u}_{output!u}{ext!l}", "ØRSTED 1_WEB.jpg"),
        ("{camera!l:.2}{date!u:%b}{ext}", "x1MAY.jpg"),
        ("{{{stem}}}{ext}", "{Ørsted 1}.jpg"),
        ("always-the-same.png", "always-the-same.png"),
    ],
)
def test_template_is_filled_in(text: str, name: str) -> None:
    assert Template.parse(text).render(VALUES_OF_NAMES) == name


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_is_usable(field: str) -> None:
    template = Template.parse(f"a{{{field}}}")
    assert template.fields == {field}
    assert template.needs_header == (field in ("width", "height", "date", "camera"))
    assert template.render(VALUES_OF_NAMES).startswith("a")
    assert set(VALUES_OF_NAMES) == set(FIELDS)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{stm}{ext}", ["unknown field {stm}", "did you mean {stem}?"]),
        ("{stem}{extt}", ["unknown field {extt}", "did you mean {ext}?"]),
        ("{Width}{ext}", ["unknown field {Width}", "did you mean {width}?"]),
        ("{iso}{ext}", ["unknown field {iso}", "stem, ext, dir", "camera"]),
        ("{}{ext}", ["unknown field {}", "stem, ext"]),
        ("{0}{ext}", ["unknown field {0}"]),
        ("{stem.__class__}", ["unknown field {stem.__class__}"]),
        ("{stem[0]}", ["unknown field {stem[0]}", "did you mean {stem}?"]),
        ("{stem", ["cannot read the name template '{stem'"]),
        ("stem}", ["cannot read the name template 'stem}'"]),
        ("{stem!z}", ["cannot read the name template", "found !z, expected !l", "!u"]),
        ("{stem!r}", ["found !r, expected !l"]),
        ("{stem!lower}", ["cannot read the name template"]),
        ("{stem:1000}", ["cannot read the name template", "999 characters"]),
        ("a\0b", ["NUL"]),
        ("{stem:d}", ["cannot read the name template"]),
        ("{seq:%Y}", ["cannot read the name template"]),
        ("{width:.2}", ["cannot read the name template"]),
        ("{seq:{width}}", ["cannot read the name template", "a field inside another"]),
        ("{seq:0{nothing}}", ["cannot read the name template", "a field inside another"]),
        ("", ["''", "ends in a folder"]),
        ("{dir}/", ["'{dir}/'", "ends in a folder"]),
        ("web\\", ["ends in a folder"]),
    ],
)
def test_bad_template_is_refused_with_reason(text: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        Template.parse(text)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("/tmp/{stem}{ext}", "../{stem}{ext}", "{dir}/../{stem}{ext}", "a/../../b", "..\\{stem}"),
        *("..", "{stem}/..", "{date:../..}/{stem}", "{date:%Y/../..}/{stem}", "{date:/etc}/{stem}"),
    ],
)
def test_template_outside_the_output_folder_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="leaves the output folder"):
        Template.parse(text)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a/b", "a_b"),
        ("a\\b", "a_b"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("..", "__"),
        ("line\nbreak\0\t", "line_break__"),
        ("a:b", "a_b"),
        ('<a>"b"|c?*', "_a__b__c__"),
        ("a. .", "a___"),
        (". a", ". a"),
        ("CON", "_CON"),
        ("aux.1", "_aux.1"),
        ("Lpt9", "_Lpt9"),
        ("COM¹", "_COM¹"),
        ("console", "console"),
        ("\x7f\x9b", "__"),
        ("a..b", "a..b"),
        ("été", "été"),
    ],
)
@pytest.mark.parametrize("field", ["camera", "output"])
def test_field_value_cannot_add_or_leave_a_folder(field: str, value: str, name: str) -> None:
    template = Template.parse(f"{{{field}}}/{{seq}}")
    assert template.render({**VALUES_OF_NAMES, field: value}) == f"{name}/7"


@pytest.mark.slow
@PROPERTY
@given(value=st.text())
def test_any_camera_name_stays_in_its_folder(value: str) -> None:
    name = Template.parse("{camera}/x{camera}").render({"camera": value})
    parts = name.split("/")
    assert len(parts) == 2
    assert ".." not in parts
    assert not set(name) & set('<>:"\\|?*\0')
    assert not any(part.endswith((".", " ")) for part in parts)


def test_recipe_operations_are_those_with_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Example files are given relative to this folder.
    monkeypatch.chdir(ROOT)
    words = [kind.example or name for name, kind in names().items()]
    recipe = Recipe.from_options(filters=words)
    assert [operation.name for operation in recipe.outputs[0].operations] == list(names())
