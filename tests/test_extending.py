"""Operations and formats from other packages: the examples in docs/extending.md, installed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from toolkit import ROOT
from toolkit.commands import imgbatch
from toolkit.folders import plant
from toolkit.pictures import exif_block, opened, saved, scene
from toolkit.reports import rows

PAGE: Final = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
CODE, ROW, CODEC = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PROJECTS: Final = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def environment(place: Path, project: str, **modules: str) -> dict[str, str]:
    """An environment in which Python finds an example as `pip install` would leave it."""
    name = re.findall(r'name = "(.*?)"', project)[0]
    about = place / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    for module, code in modules.items():
        (place / f"{module}.py").write_text(code)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    group, entry = re.findall(r'entry-points\."(.*?)"\]\n(.*?)\n', project)[0]
    (about / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")
    return {**os.environ, "PYTHONPATH": str(place)}


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path / "site", PROJECTS[0], solarize=CODE)


@pytest.fixture
def with_pcx(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path / "site", PROJECTS[1], pcx_format=ROW, pcx_codec=CODEC)


def test_example_is_short() -> None:
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 15


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_external_operation_works_in_workers(
    tmp_path: Path, installed: dict[str, str], jobs: str
) -> None:
    pixels = scene()
    plant(tmp_path / "photos", "a.png", "b.png", data=saved(pixels, "PNG"))
    words = ("filter", "photos", "--filter", "solarize:above=0.25", "-o", "out", "-j", jobs)
    run = imgbatch(*words, cwd=tmp_path, env=installed)
    assert run.returncode == 0, run.stderr.decode()
    expected = np.where(pixels / 255 > 0.25, 255 - pixels, pixels)
    for name in ("a.png", "b.png"):
        made = np.asarray(opened((tmp_path / "out" / name).read_bytes()))
        assert np.array_equal(made, expected)


@pytest.mark.slow
def test_external_operation_is_listed_checked_and_suggested(
    tmp_path: Path, installed: dict[str, str]
) -> None:
    told = imgbatch("operations", cwd=tmp_path, env=installed).stdout.decode()
    assert re.findall(r"```console\n.*?\n(solarize:.*?)```", PAGE, re.DOTALL)[0] in told
    for words, part in (
        ("solarize:above=2", b"solarize: above: found '2', expected a number from 0 to 1"),
        ("solarise", b"did you mean solarize?"),
    ):
        run = imgbatch("filter", ".", "--filter", words, cwd=tmp_path, env=installed)
        assert run.returncode == 2
        assert part in run.stderr


@pytest.mark.slow
def test_recipe_may_use_external_operation(tmp_path: Path, installed: dict[str, str]) -> None:
    plant(tmp_path / "photos", "a.png", data=saved(scene(), "PNG"))
    (tmp_path / "r.toml").write_text(
        '[[output]]\noperations = [{ name = "solarize", above = 1 }]\n'
    )
    run = imgbatch("run", "r.toml", "photos", "-o", "out", cwd=tmp_path, env=installed)
    assert run.returncode == 0, run.stderr.decode()


@pytest.mark.slow
def test_unloadable_package_is_named(tmp_path: Path, installed: dict[str, str]) -> None:
    module = Path(installed["PYTHONPATH"]) / "solarize.py"
    module.write_text("import nothing_of_that_name\n")
    run = imgbatch("filter", ".", "--filter", "solarize", cwd=tmp_path, env=installed)
    assert run.returncode == 2
    assert b"the operations of imgbatch-solarize cannot be loaded" in run.stderr
    assert b"nothing_of_that_name" in run.stderr
    # imgbatch's own operations still work.
    plant(tmp_path / "photos", "a.jpg")
    run = imgbatch("filter", "photos", "--filter", "invert", cwd=tmp_path, env=installed)
    assert run.returncode == 0


BROKEN: Final = b"the operations of imgbatch-solarize cannot be loaded (solarize): "


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    ["import nothing_of_that_name\n", "raise SystemExit('no')\n", f"{CODE}\n\n1 / 0\n"],
    ids=["an import", "an exit", "behind its operation"],
)
def test_unloadable_package_is_omitted_from_lists_and_suggestions(
    tmp_path: Path, installed: dict[str, str], code: str
) -> None:
    (Path(installed["PYTHONPATH"]) / "solarize.py").write_text(code)
    run = imgbatch("operations", cwd=tmp_path, env=installed)
    assert run.returncode == 0
    assert b"\nsharpen: " in run.stdout
    assert b"solarize" not in run.stdout
    (line,) = run.stderr.splitlines()
    assert line.startswith(b"imgbatch: " + BROKEN)
    run = imgbatch("operations", "sharpen", cwd=tmp_path, env=installed)
    assert (run.returncode, run.stderr) == (0, b"")
    run = imgbatch("filter", ".", "--filter", "sharpn", cwd=tmp_path, env=installed)
    assert run.returncode == 2
    # The unknown name may well be an operation of that package.
    assert b"did you mean sharpen?; " + BROKEN in run.stderr
    for words in (("operations", "solarize"), ("filter", ".", "--filter", "Solarize:above=1")):
        run = imgbatch(*words, cwd=tmp_path, env=installed)
        assert run.returncode == 2
        assert run.stderr.startswith(b"imgbatch: " + BROKEN)


CURVE: Final = "return 1 - value if value > self.above else value"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (CODE.replace(CURVE, "return value / 0"), "ZeroDivisionError: float division by zero"),
        (CODE.replace(CURVE, "return float('nan')"), "ValueError: a level became NaN"),
        (
            CODE[: CODE.index("    def level")],
            "TypeError: Solarize has neither `level` nor `curves`",
        ),
    ],
    ids=["an exception", "no number", "no curve"],
)
@pytest.mark.parametrize("beside", [(), ("--filter", "gamma", "--filter", "invert")])
def test_external_operation_errors_carry_its_name_joined_or_not(
    tmp_path: Path, installed: dict[str, str], code: str, message: str, beside: tuple[str, ...]
) -> None:
    (Path(installed["PYTHONPATH"]) / "solarize.py").write_text(code)
    plant(tmp_path / "photos", "a.png", data=saved(scene(), "PNG"))
    words = (*beside, "--filter", "solarize", "--filter", "brightness")
    run = imgbatch(
        "filter", "photos", *words, "-o", "out", "--report", "-", cwd=tmp_path, env=installed
    )
    assert run.returncode == 1
    (row,) = rows(run.stdout)[0].values()
    assert row["error"] == {
        "stage": "operate",
        "kind": "solarize",
        "message": f"solarize: {message}",
    }


# A format


def pcx(pixels: NDArray[np.uint8]) -> bytes:
    return saved(pixels, "PCX")


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_external_format_is_read_and_written_in_workers(
    tmp_path: Path, with_pcx: dict[str, str], jobs: str
) -> None:
    pixels = scene()
    plant(tmp_path / "photos", "a.pcx", "b.PCX", data=pcx(pixels))
    plant(tmp_path / "photos", "c.png", data=saved(pixels, "PNG"))
    words = ("photos", "-j", jobs, "--report", "-")
    run = imgbatch("convert", *words, "-f", "png", "-o", "png", cwd=tmp_path, env=with_pcx)
    assert run.returncode == 0, run.stderr.decode()
    for name in ("a.png", "b.png", "c.png"):
        made = np.asarray(opened((tmp_path / "png" / name).read_bytes()))
        assert np.array_equal(made, pixels), name
    run = imgbatch("convert", *words, "-f", "pcx", "-o", "pcx", cwd=tmp_path, env=with_pcx)
    assert run.returncode == 0, run.stderr.decode()
    for name in ("a.pcx", "b.pcx", "c.pcx"):
        with Image.open(tmp_path / "pcx" / name, formats=("PCX",)) as written:
            assert np.array_equal(np.asarray(written), pixels), name
    run = imgbatch("convert", *words, "-f", "pcx", "-o", "pcx", cwd=tmp_path, env=with_pcx)
    assert [row["status"] for row in rows(run.stdout)[0].values()] == ["skipped"] * 3


@pytest.mark.slow
def test_external_format_is_listed_checked_and_suggested(
    tmp_path: Path, with_pcx: dict[str, str]
) -> None:
    told = imgbatch("formats", cwd=tmp_path, env=with_pcx).stdout.decode()
    assert re.search(r"^pcx +PCX: read and written\n +\.pcx\n", told, re.MULTILINE)
    for words, part in (
        (("-f", "pcy"), b"did you mean pcx?"),
        (("-f", "pcx", "--lossless"), b"PCX has no lossless setting: omit --lossless"),
    ):
        run = imgbatch("resize", ".", *words, cwd=tmp_path, env=with_pcx)
        assert (run.returncode, part in run.stderr) == (2, True), run.stderr


@pytest.mark.slow
def test_external_format_is_known_by_content_only(tmp_path: Path, with_pcx: dict[str, str]) -> None:
    plant(tmp_path / "photos", "z.pcx", data=b"%!PS-Adobe-3.0\n" * 9)
    plant(tmp_path / "photos", "lies.jpg", data=pcx(scene()))
    words = ("resize", "photos", "-s", "20", "-o", "out", "--report", "-")
    run = imgbatch(*words, cwd=tmp_path, env=with_pcx)
    assert run.returncode == 1
    found, _ = rows(run.stdout)
    assert found["photos/z.pcx"]["error"]["kind"] == "not-an-image"
    assert [one["path"] for one in found["photos/lies.jpg"]["outputs"]] == ["out/lies.pcx"]
    # Without the package it is no picture at all.
    run = imgbatch(*words[:-3], "other", *words[-2:], cwd=tmp_path)
    found, _ = rows(run.stdout)
    assert found["photos/lies.jpg"]["error"]["kind"] == "not-an-image"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "trouble"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("PCX = 'pcx'", "TypeError: found 'pcx', expected a Format"),
        (ROW.replace('name="pcx"', 'name="gif"'), "ValueError: there is already a format gif"),
        (
            re.sub(r"    signatures=.*\n", "", ROW),
            "ValueError: a format is known by what its first 32 bytes contain",
        ),
        (ROW.replace('name="pcx"', 'name="keep"'), "ValueError: there is already a format keep"),
        (ROW.replace('name="pcx"', 'name="jpg"'), "ValueError: there is already a format jpg"),
        (ROW.replace('name="pcx"', 'name="PCX"'), "ValueError: found the name 'PCX'"),
        (ROW.replace('".pcx"', '".jpg"'), "ValueError: found the suffix '.jpg'"),
        (re.sub(r"    suffixes=.*\n", "    suffixes=(),\n", ROW), "ValueError: a format has a"),
        (ROW.replace("decoding=2", 'extra="pcx"'), "ValueError: extras and features are"),
    ],
    ids=[
        *("an import", "no row", "a name of ours", "no signature", "a word", "a spelling"),
        *("capitals", "a suffix of ours", "no suffix", "an extra"),
    ],
)
def test_unloadable_format_is_named_and_does_no_harm(
    tmp_path: Path, with_pcx: dict[str, str], row: str, trouble: str
) -> None:
    (Path(with_pcx["PYTHONPATH"]) / "pcx_format.py").write_text(row)
    broken = f"the format of imgbatch-pcx cannot be loaded (pcx_format:PCX): {trouble}"
    run = imgbatch("formats", cwd=tmp_path, env=with_pcx)
    assert run.returncode == 0
    assert run.stderr.decode().startswith(f"imgbatch: {broken}")
    assert b"\njpeg " in b"\n" + run.stdout
    run = imgbatch("resize", ".", "-f", "pcx", cwd=tmp_path, env=with_pcx)
    assert run.returncode == 2
    assert broken in run.stderr.decode()
    plant(tmp_path / "photos", "a.jpg")
    plant(tmp_path / "photos", "b.pcx", data=pcx(scene()))
    run = imgbatch("resize", "photos", "-o", "out", cwd=tmp_path, env=with_pcx)
    assert run.returncode == 0, run.stderr
    assert sorted(one.name for one in (tmp_path / "out").glob("*.*g")) == ["a.jpg"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
    ],
)
def test_unloadable_codec_fails_its_files_only(
    tmp_path: Path, with_pcx: dict[str, str], code: str, trouble: str
) -> None:
    (Path(with_pcx["PYTHONPATH"]) / "pcx_codec.py").write_text(f"{code}\n")
    plant(tmp_path / "photos", "a.jpg")
    plant(tmp_path / "photos", "b.pcx", data=pcx(scene()))
    words = ("resize", "photos", "-s", "20", "-o", "out", "--report", "-")
    run = imgbatch(*words, cwd=tmp_path, env=with_pcx)
    assert run.returncode == 1
    found, _ = rows(run.stdout)
    assert found["photos/a.jpg"]["status"] == "done"
    assert found["photos/b.pcx"]["error"] == {
        "stage": "open",
        "kind": "no-codec",
        "message": f"PCX: its codec cannot be loaded ({trouble})",
    }
    told = imgbatch("formats", cwd=tmp_path, env=with_pcx)
    assert (told.returncode, told.stderr) == (0, b"")
    assert f"pcx       PCX: its codec cannot be loaded ({trouble})" in told.stdout.decode()


OWN_IMAGE: Final = """
import warnings
from PIL import Image, ImageFile
from imgbatch.imaging.codecs.base import Codec

class Four(ImageFile.ImageFile):
    format = "FOUR"

    def _open(self):
        assert self.fp.read(2) == b"\\n\\5"
        warnings.warn("not of interest")
        self._size, self._mode, self.tile = (4, 4), "L", []

    def load(self):
        if self._im is None:
            self.im = Image.new("L", self.size, 77).im
        return super().load()

class Own(Codec):
    pillow = "FOUR"

    def open(self, file):
        return Four(file)

    def encoded(self, image, options, encoding):
        return b"\\n\\5" + bytes(image.getpixel((0, 0)))

CODEC = Own()
"""


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_codec_may_have_an_image_of_its_own(
    tmp_path: Path, with_pcx: dict[str, str], jobs: str
) -> None:
    (Path(with_pcx["PYTHONPATH"]) / "pcx_codec.py").write_text(OWN_IMAGE)
    plant(tmp_path / "photos", "a.pcx", "b.pcx", data=b"\n\5")
    words = ("convert", "photos", "-f", "png", "-o", "out", "-j", jobs)
    run = imgbatch(*words, cwd=tmp_path, env=with_pcx)
    assert run.returncode == 0, run.stderr
    assert b"not of interest" not in run.stderr
    for name in ("a.png", "b.png"):
        assert opened((tmp_path / "out" / name).read_bytes()).getextrema() == (77, 77)


@pytest.mark.slow
def test_two_formats_may_share_a_codec(tmp_path: Path, with_pcx: dict[str, str]) -> None:
    """Also one of ours, which must not take the other's name."""
    row = ROW.replace("pcx_codec", "imgbatch.imaging.codecs.png").replace("*", "")
    row = re.sub(r"begins\(.*\)", r'begins(b"\\x89pcx")', row)
    (Path(with_pcx["PYTHONPATH"]) / "pcx_format.py").write_text(row)
    plant(tmp_path / "photos", "a.png", data=saved(scene(), "PNG", exif=exif_block().block))
    words = ("resize", "photos", "-s", "20", "-j", "1", "--report", "-")
    run = imgbatch(*words, "-f", "pcx", "-o", "pcx", cwd=tmp_path, env=with_pcx)
    assert "EXIF cannot be stored in PCX" in run.stdout.decode()
    run = imgbatch(*words, "-f", "png", "-o", "png", cwd=tmp_path, env=with_pcx)
    assert "cannot be stored" not in run.stdout.decode()


@pytest.mark.slow
def test_report_never_takes_the_name_of_a_picture(tmp_path: Path, with_pcx: dict[str, str]) -> None:
    plant(tmp_path / "photos", "a.jpg")
    words = ("resize", "photos", "-o", "out", "--report", "b.pcx")
    run = imgbatch(*words, cwd=tmp_path, env=with_pcx)
    assert (run.returncode, b"names a picture" in run.stderr) == (2, True)
    assert not (tmp_path / "b.pcx").exists()
