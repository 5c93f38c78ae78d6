"""Docs: links resolve, examples work, and generated pages match the scripts that write them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image
from toolkit import ROOT
from toolkit.commands import imgbatch_here, tool
from toolkit.folders import plant
from toolkit.pictures import opened, saved, scene
from tools import make_cli_docs

import imgbatch
from imgbatch.operations import names
from imgbatch.recipes.settings import RecipeWords
from imgbatch.running.settings import RunWords

REMEDY: Final = "run scripts/tool make_docs"
PAGES: Final = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
FENCES: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
MOST_LINES_OF_README: Final = 160


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def fences(page: Path, language: str) -> list[str]:
    return [text for named, text in FENCES.findall(text_of(page)) if named == language]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and MkDocs give the headings of a page."""
    headings = HEADING.findall(FENCES.sub("", text_of(page)))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def dead_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(FENCES.sub("", text_of(page))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


# Links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_resolves(page: Path) -> None:
    assert list(dead_links(page)) == []


def test_dead_link_is_found(tmp_path: Path) -> None:
    other, page = tmp_path / "other.md", tmp_path / "page.md"
    other.write_text("# Two words, `code`\n```sh\n# no heading\n```\n")
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#two-words-code) [c](#here) [d](https://example.org)\n"
        "[e](gone.md) [f](other.md#no-heading) ![g](gone.png)\n```\n[h](code.md)\n```\n"
    )

    assert list(dead_links(page)) == ["gone.md", "other.md#no-heading", "gone.png"]


def test_every_page_is_in_the_site_navigation() -> None:
    listed = set(
        re.findall(r"^ +- (?:\w+: )?(\S+\.md)$", text_of(ROOT / "mkdocs.yml"), re.MULTILINE)
    )
    outside = {"contributing.md", "changelog.md"}

    assert listed - outside == {page.name for page in (ROOT / "docs").glob("*.md")}
    assert outside <= listed


def test_readme_reaches_every_page() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            links = (link.partition("#")[0] for link in LINK.findall(text_of(page)))
            waiting += [(page.parent / link).resolve() for link in links if link.endswith(".md")]

    assert [page for page in PAGES if page not in reached] == []


def test_readme_is_short() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) <= MOST_LINES_OF_README


# Examples


COMMANDS: Final = [
    pytest.param(line, id=f"{page.stem}: {line}")
    for page in PAGES
    for block in fences(page, "sh")
    for line in block.replace("\\\n", "").splitlines()
    if line.startswith("imgbatch ") and "/tmp/" not in line
]
"""Every command shown on a page, except those that need files of their own."""


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_parses(tmp_path: Path, line: str) -> None:
    plant(tmp_path, *(f"{folder}/a.jpg" for folder in ("shoot", "scans")), "a.jpg")
    words = shlex.split(line.partition(" #")[0])[1:]

    run = imgbatch_here(*words, *(() if "--help" in words else ("--dry-run",)), cwd=tmp_path)

    assert run.returncode == 0, run.stderr.decode()


@pytest.mark.parametrize("name", ["README.md", "docs/recipes.md"])
def test_every_recipe_loads(tmp_path: Path, name: str) -> None:
    (recipe,) = (text for text in fences(ROOT / name, "toml") if "[[output]]" in text)
    plant(tmp_path, "shoot/a.jpg")
    (tmp_path / "delivery.toml").write_text(recipe, encoding="utf-8")

    run = imgbatch_here("run", "delivery.toml", "shoot", "--dry-run", cwd=tmp_path)

    assert run.returncode == 0, run.stderr.decode()
    for output in tomllib.loads(recipe)["output"]:
        assert output["name"].encode() in run.stdout


# The Python API


API: Final = ROOT / "docs/api.md"


def test_api_page_has_every_public_name() -> None:
    table = text_of(API).partition("\n## ")[0]
    linked = dict(re.findall(r"\[`(\w+)`\]\(#(\w+)\)", table))
    examples = "".join(fences(API, "python"))

    assert set(linked) == set(imgbatch.__all__)
    assert set(linked.values()) <= anchors(API)
    assert [name for name in linked if f"imgbatch.{name}" not in examples] == []


@pytest.mark.parametrize("words", [RunWords, RecipeWords])
def test_api_page_has_every_argument(words: type) -> None:
    rows = "\n".join(row for row in text_of(API).splitlines() if row.startswith("|"))

    assert sorted(name for name in words.__annotations__ if f"`{name}`" not in rows) == []


@pytest.mark.slow
def test_api_examples_print_what_the_page_shows(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("mountains.jpg", "lake-with-gps.jpg", "cut-short.jpg"):
        shutil.copy(ROOT / "sample_images" / name, photos)
    program = tmp_path / "program.py"
    program.write_text("".join(fences(API, "python")), encoding="utf-8")

    run = subprocess.run(
        [sys.executable, program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert run.stderr == ""
    assert run.stdout == "".join(fences(API, "text"))


@pytest.mark.slow
def test_api_examples_pass_mypy(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("".join(fences(API, "python")), encoding="utf-8")

    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert (run.stdout.splitlines()[-1], run.stderr) == (
        "Success: no issues found in 1 source file",
        "",
    )


def test_web_server_of_the_api_page_serves_several_at_once() -> None:
    server_code = next(text for text in fences(API, "python") if "ThreadingHTTPServer" in text)
    known: dict[str, Any] = {"imgbatch": imgbatch}
    exec(server_code, known)
    server = known["server"]

    def answer(upload: bytes) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", server.server_port)
        connection.request("POST", "/", upload)
        response = connection.getresponse()
        told = response.status, response.read()
        connection.close()
        return told

    good = saved(scene(640, 400), "JPEG")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with ThreadPoolExecutor(6) as clients:
            answers = list(clients.map(answer, [good, good[:-90], b"no picture"] * 4))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    assert [status for status, _ in answers] == [200, 422, 422] * 4
    assert {opened(data).size for status, data in answers if status == 200} == {(320, 200)}
    assert b"cut short" in answers[1][1]


# Generated pages


@pytest.mark.slow
def test_operations_page_matches_the_operations() -> None:
    run = tool("tools.make_docs", "--text")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (ROOT / "docs/operations.md").read_text(encoding="utf-8"), REMEDY


def test_every_operation_has_before_and_after_pictures() -> None:
    pictures = {path.stem: path for path in (ROOT / "docs/operations").glob("*.webp")}
    assert set(pictures) == set(names()), REMEDY
    for path in pictures.values():
        with Image.open(path) as sheet:
            assert sheet.width == 2 * 440 + 8
    assert sum(path.stat().st_size for path in pictures.values()) < 2_500_000


def test_cli_page_matches_the_declarations() -> None:
    assert make_cli_docs.page() == (ROOT / "docs/cli.md").read_text(encoding="utf-8"), (
        "run scripts/tool make_cli_docs"
    )


def test_cli_page_keeps_what_is_written_nowhere_else() -> None:
    page = make_cli_docs.page()
    assert page.count("`convert`, `filter` and `run` have none of these.") == 1
    assert "| `-q`, `--quality` `N` | `quality` | `quality` |" in page
    assert "Formats that have it: JPEG, AVIF, HEIC." in page
    assert "| `--dither`, `--no-dither` | `dither` | `dither` | yes |" in page
    assert "Formats that have it: GIF; with --colours also PNG, TIFF, BMP, Targa." in page
    assert "| `--save-recipe` `FILE` |  |  |  |" in page


def test_pages_have_no_control_characters() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", *(ROOT / "man").iterdir()]
    assert [
        page.name for page in pages if re.search(r"[\x00-\x08\x0b-\x1f]", page.read_text("utf-8"))
    ] == []
