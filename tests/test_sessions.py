"""Three people at work: a photographer, someone who writes scripts, and one who writes programs.

Each does one thing after another in the same folders, as people do. What matters is that the steps
agree with each other: what one leaves behind, the next one meets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator
from PIL import Image, ImageOps
from toolkit import ROOT
from toolkit.commands import COMMAND, Completed, imgbatch, imgbatch_here
from toolkit.folders import SMALL, files, plant, tree
from toolkit.pictures import (
    COPYRIGHT,
    exif_block,
    opened,
    saved,
    scene,
    traces_of_position,
    with_metadata,
)
from toolkit.reports import told

from imgbatch.store.journal import Journal

# On its side: 64 x 96 when it is upright.
PHOTO: Final = with_metadata(scene(96, 64), "JPEG", exif=exif_block(orientation=6).block)
CUT: Final = saved(scene(), "JPEG")[:-200]


# The photographer

SHOOT: Final = "Fotos Jänner 2026"
PHOTOS: Final = ("Tag 1/IMG_1.JPG", "Tag 1/IMG_10.JPG", "Tag 1/IMG_2.JPG", "Tag 2/IMG_1.JPG")
BESIDE: Final = {"Tag 1/IMG_1.xmp": b"<x:xmpmeta/>", "Tag 1/MVI_3.mov": b"\0\0\0\x14ftypqt  "}


class Photographer:
    """What is typed in one folder, and what is found there."""

    def __init__(self, desk: Path) -> None:
        self.desk = desk
        self.shoot = plant(desk / SHOOT, *PHOTOS, data=PHOTO)
        for name, data in BESIDE.items():
            plant(self.shoot, name, data=data)

    def types(self, *words: str, code: int = 0) -> list[str]:
        """Run the command; return what it says."""
        run = imgbatch(*words, cwd=self.desk)
        assert run.returncode == code, run.stderr.decode()
        return [*run.stdout.decode().splitlines(), *(line.decode() for line in told(run.stderr))]

    def size(self, name: str) -> tuple[int, int]:
        """Of a picture as it is displayed."""
        with Image.open(self.desk / name) as image:
            return ImageOps.exif_transpose(image).size

    def photos(self) -> set[str]:
        """What is in the shoot, without the folders of pictures that were made."""
        made = ("export", "thumbs", "web", "galerie")
        return {name for name in files(self.shoot) if not {*made} & {*name.split("/")}}


@pytest.mark.slow
def test_photographer(tmp_path: Path) -> None:
    person = Photographer(tmp_path)
    _exports_twice(person)
    _puts_pictures_beside_the_originals(person)
    _makes_one_picture(person)
    _comes_back_with_more(person)
    _clears_up(person)
    _delivers(person)


def _exports_twice(person: Photographer) -> None:
    """The commonest habit: folders of exports inside the shoot."""
    export = ("resize", SHOOT, "-s", "48", "-o", f"{SHOOT}/export")

    *shown, last = person.types(*export, "--dry-run")
    natural = ("Tag 1/IMG_1.JPG", "Tag 1/IMG_2.JPG", "Tag 1/IMG_10.JPG", "Tag 2/IMG_1.JPG")
    assert shown == [f"{SHOOT}/{name} -> {SHOOT}/export/{name}" for name in natural]
    assert last == "4 files: 4 to do (dry run: nothing was written)"
    assert files(person.desk) == sorted(f"{SHOOT}/{name}" for name in (*PHOTOS, *BESIDE))

    (said,) = person.types(*export)
    assert said.startswith(f"4 done in {SHOOT}/export · ")
    assert files(person.shoot / "export") == sorted(PHOTOS)
    assert person.size(f"{SHOOT}/export/{PHOTOS[0]}") == (32, 48)
    exported = (person.shoot / "export" / PHOTOS[0]).read_bytes()
    assert COPYRIGHT.encode() in exported
    assert traces_of_position(exported)

    thumbs = ("resize", SHOOT, "-s", "24", "-o", f"{SHOOT}/thumbs", "--metadata", "no-gps")
    said, left_out = person.types(*thumbs)
    assert said.startswith(f"4 done in {SHOOT}/thumbs · ")
    assert left_out == "left out: 4 outputs of earlier runs (--include-outputs)"
    assert files(person.shoot / "thumbs") == sorted(PHOTOS)
    thumb = (person.shoot / "thumbs" / PHOTOS[0]).read_bytes()
    assert (COPYRIGHT.encode() in thumb, traces_of_position(thumb)) == (True, [])


def _puts_pictures_beside_the_originals(person: Photographer) -> None:
    words = ("convert", SHOOT, "-f", "webp", "--subfolder", "web")
    said, left_out = person.types(*words)
    assert said.startswith("4 done in web beside the originals · ")
    assert left_out == "left out: 8 outputs of earlier runs (--include-outputs)"
    assert files(person.shoot / "Tag 1/web") == ["IMG_1.webp", "IMG_10.webp", "IMG_2.webp"]
    assert files(person.shoot / "Tag 2/web") == ["IMG_1.webp"]

    assert person.types(*words)[0] == "4 up to date in web beside the originals"
    assert len(files(person.shoot)) == 4 * len(PHOTOS) + len(BESIDE)


def _makes_one_picture(person: Photographer) -> None:
    one = ("resize", f"{SHOOT}/Tag 1/IMG_1.JPG", "-s", "50", "-o", "für Oma.webp")
    (said,) = person.types(*one)
    assert said.startswith("1 done: für Oma.webp · ")
    assert opened((person.desk / "für Oma.webp").read_bytes()).format == "WEBP"
    assert person.size("für Oma.webp") == (33, 50)
    assert person.types(*one) == ["1 up to date: für Oma.webp"]

    said, *_ = person.types("resize", *SHOOT.split(maxsplit=1), "-s", "50", code=2)
    assert said.endswith(f'a name with blanks needs quotes: "{SHOOT}"')
    *_, said = person.types("resize", SHOOT, "--width", "48", code=2)
    assert said == "Error: No such option '--width': did you mean --size 48x?"


def _comes_back_with_more(person: Photographer) -> None:
    plant(person.shoot, "Tag 2/IMG_3.JPG", "Tag 3/IMG_1.JPG", data=PHOTO)
    folder = ("-o", f"{SHOOT}/export")
    made = "Tag 1/IMG_10.JPG", "Tag 2/IMG_3.JPG", "Tag 3/IMG_1.JPG"

    said, *_ = person.types("resize", SHOOT, "-s", "48", *folder)
    assert said.startswith(f"2 done, 4 up to date in {SHOOT}/export · ")
    assert files(person.shoot / "export") == sorted({*PHOTOS, *made})

    said, *_ = person.types("resize", SHOOT, "-s", "30", *folder)
    assert said.startswith("6 done (6 replaced: made with other options before) in ")
    assert [person.size(f"{SHOOT}/export/{name}") for name in made] == [(20, 30)] * 3


def _clears_up(person: Photographer) -> None:
    """Two photographs go, of which one export was retouched."""
    retouched = person.shoot / "export/Tag 2/IMG_3.JPG"
    retouched.write_bytes(SMALL)
    for name in ("Tag 1/IMG_2.JPG", "Tag 2/IMG_3.JPG"):
        (person.shoot / name).unlink()
    export = ("resize", SHOOT, "-s", "30", "-o", f"{SHOOT}/export")

    said, *_, left_over = person.types(*export)
    assert said.startswith(f"4 up to date in {SHOOT}/export")
    assert left_over == "left over: 1 output from sources that are gone (--prune removes them)"

    gone = f"{SHOOT}/export/Tag 1/IMG_2.JPG"
    shown = person.types(*export, "--prune", "-n")
    assert f"{gone} would be removed: {SHOOT}/Tag 1/IMG_2.JPG is gone" in shown
    assert "4 files: 0 to do, 4 up to date, 1 output to remove (dry run: nothing was written)" in (
        shown
    )
    assert (person.desk / gone).exists()

    said, *_ = person.types(*export, "--prune")
    assert said.startswith(f"4 up to date, 1 output removed in {SHOOT}/export")
    assert not (person.desk / gone).exists()
    assert retouched.read_bytes() == SMALL


def _delivers(person: Photographer) -> None:
    said, *_ = person.types("run", "web-gallery", SHOOT, "-o", f"{SHOOT}/galerie")
    assert said.startswith(f"4 done in {SHOOT}/galerie · ")
    assert {name.split("/")[0] for name in files(person.shoot / "galerie")} == {
        *("large", "small", "thumb")
    }
    large = (person.shoot / "galerie/large/Tag 1/IMG_1.jpg").read_bytes()
    assert (COPYRIGHT.encode() in large, traces_of_position(large)) == (True, [])

    # What was left is what there was: the originals, and what stands beside them.
    left = {*PHOTOS, *BESIDE, "Tag 3/IMG_1.JPG"} - {"Tag 1/IMG_2.JPG"}
    assert person.photos() == left
    for name in left:
        assert (person.shoot / name).read_bytes() == BESIDE.get(name, PHOTO)


# The scripter

SCHEMA: Final = Draft202012Validator(json.loads((ROOT / "docs/report.schema.json").read_text()))
NIGHTLY: Final = ("resize", "in", "-s", "30", "-o", "out")


class Scripter:
    """Commands without a terminal, of which only codes, reports and files are looked at."""

    def __init__(self, place: Path) -> None:
        self.place = plant(place, "in/a.jpg", "in/b.jpg", "in/sub/ü c.jpg", data=PHOTO)
        plant(place, "in/cut.jpg", data=CUT)

    def runs(
        self, *words: str, code: int = 0, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> Completed:
        run = imgbatch(*words, cwd=self.place, stdin=stdin, env={**os.environ, **(env or {})})
        assert run.returncode == code, run.stderr.decode()
        assert b"\r" not in run.stderr
        assert b"\x1b" not in run.stderr
        return run

    def reports(
        self, *words: str, code: int = 0, **more: Any
    ) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """The rows by source, and the summary."""
        self.runs(*words, "--report", "berichte/neu/r.jsonl", code=code, **more)
        return reported((self.place / "berichte/neu/r.jsonl").read_bytes())


def reported(data: bytes) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The rows of a whole report by source, and its summary; held against the schema."""
    lines = [json.loads(line) for line in data.splitlines()]
    for line in lines:
        SCHEMA.validate(line)
    assert "header" in lines[0]
    return {line["source"]: line for line in lines[1:-1]}, lines[-1]["summary"]


def statuses(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The statuses of sources in the order of their names."""
    return " ".join(rows[name]["status"] for name in sorted(rows))


@pytest.mark.slow
def test_scripter(tmp_path: Path) -> None:
    job = Scripter(tmp_path)
    _runs_from_cron(job)
    _runs_again(job)
    _is_strict(job)
    _lists_files(job)
    _asks_for_the_impossible(job)
    _has_defaults(job)
    _runs_two_at_once(job)
    _pipes_pictures(job)
    assert sorted({name.split("/")[0] for name in files(tmp_path)}) == sorted(
        {*("in", "out", "berichte", "listed", "imgbatch.toml", "logs", "both")}
    )
    kept = ("a.jpg", "b.jpg", "cut.jpg", "d.jpg", "sub/ü c.jpg")
    assert tree(tmp_path / "in") == dict.fromkeys(kept, PHOTO)


def _runs_from_cron(job: Scripter) -> None:
    """Without an environment, and with standard error closed."""
    run = imgbatch(*NIGHTLY, "--report", "-", cwd=job.place, env={})
    rows, summary = reported(run.stdout)
    assert run.returncode == summary["exit_code"] == 1
    assert statuses(rows) == "done done failed done"
    assert rows["in/cut.jpg"]["error"]["kind"] == "truncated"
    assert b"in/cut.jpg" in run.stderr

    closed = ("sh", "-c", 'exec "$@" 2>&-', "sh")
    run = imgbatch(*NIGHTLY, "--force", "--report", "-", cwd=job.place, before=closed)
    rows, summary = reported(run.stdout)
    assert (run.returncode, run.stderr) == (1, b"")
    assert (statuses(rows), summary["replaced"]) == ("done done failed done", {"force": 3})


def _runs_again(job: Scripter) -> None:
    """Only what is new, or has failed, is made."""
    before = tree(job.place / "out")
    rows, summary = job.reports(*NIGHTLY, code=1)
    assert statuses(rows) == "skipped skipped failed skipped"
    assert (summary["up_to_date"], tree(job.place / "out")) == (3, before)
    assert rows["in/a.jpg"]["outputs"][0]["bytes"] == len(before["a.jpg"])

    plant(job.place, "in/cut.jpg", "in/d.jpg", data=PHOTO)
    rows, summary = job.reports(*NIGHTLY)
    assert statuses(rows) == "skipped skipped done done skipped"
    assert (summary["done"], summary["exit_code"]) == (2, 0)


def _is_strict(job: Scripter) -> None:
    """What was made with a warning is refused whenever that is asked for."""
    plant(job.place, "in/cut.jpg", data=CUT)
    words = (*NIGHTLY, "--salvage")
    rows, summary = job.reports(*words)
    assert [one["kind"] for one in rows["in/cut.jpg"]["warnings"]] == ["truncated"]
    assert (statuses(rows), summary["warnings"]) == ("skipped skipped done skipped skipped", 1)
    for _ in range(2):
        rows, _ = job.reports(*words, "--strict", code=1)
        assert rows["in/cut.jpg"]["status"] == "failed"
    rows, summary = job.reports(*words)
    assert (summary["up_to_date"], summary["warnings"]) == (5, 1)
    assert [one["kind"] for one in rows["in/cut.jpg"]["warnings"]] == ["truncated"]
    plant(job.place, "in/cut.jpg", data=PHOTO)


def _lists_files(job: Scripter) -> None:
    listed = ("resize", "-", "-s", "20", "-o", "listed")
    names = ("in/a.jpg", "in/sub/ü c.jpg")
    said = job.runs(*listed, "--null", stdin="\0".join(names).encode())
    assert said.stderr.startswith(b"2 done in listed")
    # As from another system's editor.
    crlf = "".join(f"{name}\r\n" for name in (*names, "in/b.jpg")).encode("utf-8-sig")
    said = job.runs(*listed, stdin=crlf)
    assert said.stderr.startswith(b"1 done, 2 up to date in listed")
    assert len(files(job.place / "listed")) == 3


def _asks_for_the_impossible(job: Scripter) -> None:
    """Codes tell what went wrong, and there is a report in any case."""
    before = tree(job.place / "out")
    (job.place / "empty").mkdir()
    for code, kind, words in (
        (2, "usage", (*NIGHTLY, "--sise", "30")),
        (2, "usage", ("resize", "in", "-s", "30", "-o", "")),
        (2, "plan", ("resize", "in", "-s", "30", "-o", "in")),
        (3, "nothing-found", ("resize", "empty", "-o", "out")),
    ):
        report = job.place / "berichte/failed.jsonl"
        run = imgbatch_here(*words, "--report", str(report), cwd=job.place)
        rows, summary = reported(report.read_bytes())
        assert (run.returncode, rows) == (code, {})
        assert (summary["exit_code"], summary["error"]["kind"]) == (code, kind)
    assert tree(job.place / "out") == before


def _has_defaults(job: Scripter) -> None:
    """A file of defaults, a variable, and a log; the command line has the last word."""
    (job.place / "imgbatch.toml").write_text('copyright = "© Ada"\njobs = 2\nforce = true\n')
    run = imgbatch_here(*NIGHTLY, cwd=job.place)
    assert run.returncode == 2
    assert b"imgbatch.toml" in run.stderr
    assert b"everything would be made again, every time" in run.stderr
    (job.place / "imgbatch.toml").write_text('copyright = "© Ada"\njobs = 2\n')

    words = (*NIGHTLY, "--log", "logs/nightly.log")
    _, summary = job.reports(*words, env={"IMGBATCH_JOBS": "1"})
    assert (summary["jobs"], summary["replaced"]) == (1, {"options": 5})
    assert "© Ada".encode() in (job.place / "out/a.jpg").read_bytes()
    _, summary = job.reports(*words)
    assert (summary["jobs"], summary["up_to_date"]) == (1, 5)
    said = job.runs(*words, code=2, env={"IMGBATCH_JOBS": "many"}).stderr
    assert b"IMGBATCH_JOBS: found 'many', expected a whole number" in said

    log = (job.place / "logs/nightly.log").read_text().splitlines()
    assert all(line[10] == "T" and line[23:25] == "Z " for line in log)
    ends = [line.rpartition(" ")[2] for line in log if "ended with exit code" in line]
    assert ends == ["0", "0", "2"]
    assert sum(" in/a.jpg -> out/a.jpg (" in line for line in log) == 1


def _runs_two_at_once(job: Scripter) -> None:
    both = ("resize", "in", "-s", "25", "-o", "both", "--no-config")
    with held(job.place / "both"):
        said = imgbatch_here(*both, cwd=job.place)
    assert said.returncode == 2
    assert b"is writing into both: wait until it has finished (--wait 10m does)" in said.stderr

    commands = [
        subprocess.Popen(
            [*COMMAND, *both, "--wait", "5m", "--report", f"berichte/{number}.jsonl"],
            cwd=job.place,
            stderr=subprocess.PIPE,
        )
        for number in range(2)
    ]
    for command in commands:
        _, errors = command.communicate(timeout=300)
        assert command.returncode == 0, errors.decode()
    found = [reported((job.place / f"berichte/{number}.jsonl").read_bytes()) for number in (0, 1)]
    assert sorted(summary["done"] for _, summary in found) == [0, 5]
    assert sorted(summary.get("up_to_date", 0) for _, summary in found) == [0, 5]


@contextmanager
def held(output: Path) -> Iterator[None]:
    """The lock on an output folder, as another run has it."""
    journal = Journal.open(str(output))
    journal.begin("0123456789abcdef", [])
    try:
        yield
    finally:
        journal.finish()


def _pipes_pictures(job: Scripter) -> None:
    before = files(job.place)
    piped = ("resize", "-", "-s", "30", "-o", "-", "--no-config")
    run = job.runs(*piped, stdin=PHOTO)
    as_file = job.runs("resize", "in/a.jpg", *piped[2:])
    assert run.stdout == as_file.stdout
    assert opened(run.stdout).size == (20, 30)

    run = job.runs(*piped, stdin=CUT, code=1)
    assert (run.stdout, b"cut short" in run.stderr) == (b"", True)
    assert files(job.place) == before


# The developer

PROGRAM: Final = '''
import io, logging, sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imgbatch

heard = []


def short(text):
    """Without what a codec says in brackets."""
    return text.split(" (")[0]


listener = logging.Handler()
listener.emit = lambda record: heard.append(f"{record.levelname} {short(record.getMessage())}")
logging.getLogger("imgbatch").addHandler(listener)


def refused(call):
    """The kind of error that a call raises, and what it says."""
    try:
        call()
    except (imgbatch.ImgbatchError, TypeError) as error:
        return f"{type(error).__name__}: {short(str(error))}"
    raise AssertionError("it was not refused")


# No guard: the workers do not import this.
web = imgbatch.Recipe.from_options("web", sizes=[40, "thumb=20"], format="webp", quality=80)
print("recipe", web.name, [output.name for output in web.outputs])
client = imgbatch.Recipe.of(
    [{"name": "web", "size": 40, "operations": ["sharpen"]}, {"name": "full", "format": "png"}],
    name="client", profile="srgb",
)
client.save("client.toml")
print("saved", imgbatch.Recipe.load("client.toml") == client)
print("preset", [output.name for output in imgbatch.Recipe.load("web-gallery").outputs])

plan = imgbatch.plan(web, Path("in"), output="out")
print("plan", len(plan), {one.status for one in plan}, len(plan.conflicts), Path("out").exists())

with imgbatch.run(web, "in", output="out", jobs=2, memory="1GB") as run:
    print("run", len(run), run.output)
    statuses = sorted(result.status for result in run)
print("done", statuses, run.summary.done, run.summary.failed, run.summary.exit_code)
print("heard", heard)

with imgbatch.run(web, "in", output="out", jobs=2, salvage=True, prune=True) as run:
    print("again", sorted(result.status for result in run), run.summary.up_to_date)

with imgbatch.run(client, ["in"], output="cancelled", jobs=1) as run:
    for result in run:
        stopper = threading.Thread(target=run.cancel)
        stopper.start()
        stopper.join()
print("cancelled", run.summary.done, run.summary.unfinished, run.summary.stopped)

import numpy as np
from PIL import Image

data = Path("in/a.jpg").read_bytes()
whole = Image.open(io.BytesIO(data))
whole.load()
given = [Path("in/a.jpg"), data, bytearray(data), whole, np.asarray(whole)] * 4
alone = [web.apply(one) for one in given[:5]] * 4
with ThreadPoolExecutor(8) as threads:
    together = list(threads.map(web.apply, given))
same = [[one.data for one in made] for made in alone]
print("threads", [[one.data for one in made] for made in together] == same)
print("as files", [one.data == Path("out", one.name).read_bytes() for one in together[0]])
print("made", [(one.name, one.width, one.height, one.format) for one in together[1]])

picture = imgbatch.open("in/a.jpg").resize((30, 30), fit="cover").apply("grayscale")
saved = picture.save("b ä.webp", quality=70)
print("picture", picture.width, saved.format, imgbatch.open("b ä.webp").to_numpy().shape)

print(refused(lambda: imgbatch.Recipe.from_options(qualty=3)))
print(refused(lambda: imgbatch.run(web, "in", jobs="two")))
print(refused(lambda: imgbatch.run("web-gallery", "in")))
print(refused(lambda: imgbatch.run(web, "gone")))
print(refused(lambda: imgbatch.run(web, "empty", output="out")))
print(refused(lambda: imgbatch.run(imgbatch.Recipe.from_options(), "in", output="in")))
print(refused(lambda: web.apply("in/cut.jpg")))
print(refused(lambda: imgbatch.open("in/a.jpg").apply("sharpn")))
'''

SAID: Final = """\
recipe web ['40', 'thumb']
saved True
preset ['large', 'small', 'thumb']
plan 4 {'make'} 0 False
run 4 out
done ['done', 'done', 'done', 'failed'] 3 1 1
heard ['ERROR in/cut.jpg: the file is cut short or damaged']
again ['done', 'skipped', 'skipped', 'skipped'] 3
cancelled 1 3 it was cancelled
threads True
as files [True, True]
made [('picture-40.webp', 27, 40, 'webp'), ('picture-thumb.webp', 13, 20, 'webp')]
picture 30 webp (30, 30, 3)
TypeError: from_options() got an unexpected keyword argument 'qualty'; did you mean 'quality'?
UsageError: found jobs 'two', expected a whole number
TypeError: found the recipe 'web-gallery', expected a Recipe: imgbatch.Recipe.load('web-gallery')
UsageError: there is no file or folder 'gone'
NothingFoundError: no image found in empty
PlanError: nothing was written, because
  in/a.jpg is the original in/a.jpg
  in/b.jpg is the original in/b.jpg
  in/cut.jpg is the original in/cut.jpg
  in/sub/c.jpg is the original in/sub/c.jpg
Originals are never overwritten: use another --output or --name.
PictureError: the file is cut short or damaged
UsageError: unknown operation 'sharpn': did you mean sharpen?
"""


@pytest.mark.slow
def test_developer(tmp_path: Path) -> None:
    plant(tmp_path, "in/a.jpg", "in/b.jpg", "in/sub/c.jpg", data=PHOTO)
    plant(tmp_path, "in/cut.jpg", data=CUT)
    (tmp_path / "empty").mkdir()
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    originals = tree(tmp_path / "in")

    run = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == SAID
    assert tree(tmp_path / "in") == originals
    assert files(tmp_path / "out") == sorted(
        f"{stem}-{name}.webp" for stem in ("a", "b", "cut", "sub/c") for name in ("40", "thumb")
    )
    # What a program has made, the command knows.
    (tmp_path / "web.toml").write_text(
        '[defaults]\nformat = "webp"\nquality = 80\n[[output]]\nname = "40"\nsize = "40"\n'
        '[[output]]\nname = "thumb"\nsize = "20"\n'
    )
    again = imgbatch("run", "web.toml", "in", "-o", "out", "--salvage", cwd=tmp_path)
    assert again.stderr.startswith(b"4 up to date, 1 warning in out\n")
