"""What must hold after a fault, and after an ordinary rerun."""

from __future__ import annotations

import json
import re
import signal
from contextlib import suppress
from typing import Any, Final

from torture.arena import Ended, Row, Tree, leftovers, seals
from torture.faults import KILL, SHORT, Fault
from torture.ordeals import Verdict
from torture.scenes import REPORT, Stage
from torture.tracing import Call

_DONE: Final = re.compile(r"(\d+) done")
_TO_DO: Final = re.compile(r" (?:->|remakes|overwrites|is replaced)(?: |$)", re.MULTILINE)


def judge_at_once(stage: Stage, ended: Ended, fault: Fault, hit: Call, verdict: Verdict) -> None:
    """Judge what the command left and printed when `hit` had failed."""
    killed = fault.error == KILL and fault.role != "worker"
    now = stage.tree()
    verdict.others += ended.problems()
    _judge_files(stage, now, verdict)
    rows, summary, torn = _told(ended)
    # Where no file may grow, neither the report nor standard error can.
    limited = fault.error == SHORT and fault.role != "worker"
    reported = REPORT not in hit.paths and not limited
    verdict.check(not torn or killed or not reported, "the report is torn")
    for source in stage.targets:
        _judge_source(stage, source, rows.get(source), now, verdict, sure=not killed and reported)
    if killed:
        verdict.check(ended.code == -signal.SIGKILL, f"it was killed, and ended with {ended.code}")
        return
    done = [source for source in stage.targets if _is_made(stage, source, now)]
    verdict.check(ended.code in (0, 1, 2), f"it ended with {ended.code}: {ended.said}")
    verdict.check(ended.code == 0 or bool(ended.said.strip()), f"{ended.code} without a word")
    if not hit.name.startswith("unlink"):
        left = set(leftovers(stage.place, logs=False)) - stage.names_before
        verdict.others += [f"{name} was left behind by a run that lived" for name in left]
    if ended.code == 2:
        verdict.check(now == stage.before, f"exit code 2, and something was written: {ended.said}")
        return
    counted = _DONE.search(ended.said)
    verdict.check(
        limited or (counted is not None and int(counted[1]) == len(done)),
        f"{len(done)} are done, and it said: {ended.said}",
    )
    if ended.code == 0:
        verdict.check(len(done) == len(stage.targets), f"exit code 0, and done are {done}")
        verdict.check(set(rows) == set(stage.targets), f"exit code 0, and rows of {sorted(rows)}")
        verdict.check(bool(summary), "exit code 0, and no summary")
    else:
        told = "failed" in ended.said or "report is incomplete" in ended.said
        verdict.check(told or limited, f"exit code 1, and why? {ended.said}")
    if reported:
        verdict.check(summary.get("exit_code") == ended.code, f"{ended.code}, and {summary}")
        statuses = [row["status"] for row in rows.values()]
        for status in ("done", "failed", "skipped"):
            verdict.check(
                summary.get(status) == statuses.count(status), f"rows {statuses}, and {summary}"
            )
        verdict.check(
            len(rows) + summary.get("not_done", 0) == len(stage.targets),
            f"{len(rows)} rows and {summary}",
        )
    if fault.role == "worker" and fault.error == KILL:
        verdict.check(ended.code == 0, f"one worker was killed: {ended.code} and {ended.said}")
    if fault.role == "worker" and fault.error != SHORT:
        failed = [row for row in rows.values() if row["status"] == "failed"]
        verdict.check(len(failed) <= 1, f"{len(failed)} files failed: {ended.said}")


def judge_the_rerun(stage: Stage, first: Ended, verdict: Verdict) -> None:
    """Run the command again: it makes only what is missing, and then everything is done."""
    made = {
        name: data
        for name, data in stage.tree().items()
        if data == stage.after.get(name) != stage.before.get(name)
    }
    before = seals(stage.place)
    ended = stage.play()
    now = stage.tree()
    said = f"{ended.said}; the first run had said: {first.said}"
    verdict.others += ended.problems()
    verdict.check(ended.code == 0, f"the rerun ended with {ended.code} and said: {said}")
    verdict.lost += [f"{name} is missing in the end" for name in stage.after if name not in now]
    verdict.broken += [
        f"{name} is not right after the rerun"
        for name, data in now.items()
        if data != stage.after.get(name)
    ]
    attributes = stage.attributes_of(now)
    verdict.others += [
        f"{name} has the permissions and the time {attributes[name]}, not {right}"
        for name, right in stage.attributes.items()
        if attributes.get(name, right) != right
    ]
    names = stage.all_names()
    verdict.others += [f"{name} was left behind" for name in names - stage.names]
    verdict.others += [f"{name} is not there" for name in stage.names - names]
    after = seals(stage.place)
    verdict.others += [
        f"{name} was made again: {said}" for name in made if before[name] != after.get(name)
    ]
    if not verdict.wrong():
        planned = stage.plan()
        verdict.others += planned.problems()
        verdict.check(
            planned.code == 0 and not _TO_DO.search(planned.out),
            f"after the rerun there is still to do: {planned.out}{planned.said}",
        )


def _judge_files(stage: Stage, now: Tree, verdict: Verdict) -> None:
    """Each file is as before or as after the command, and there is no other."""
    for name in stage.before.keys() | stage.after.keys() | now.keys():
        was, becomes, is_now = (tree.get(name) for tree in (stage.before, stage.after, now))
        if is_now in (was, becomes):
            continue
        if is_now is None:
            verdict.lost.append(f"{name} is gone")
        else:
            verdict.broken.append(f"{name} is neither old nor new, with {len(is_now)} bytes")
    if stage.scene.in_place:
        for name, data in stage.before.items():
            backup = name.replace("photos/", "backup/", 1)
            if now.get(name) != data and now.get(backup) != data:
                verdict.lost.append(f"{name} was replaced without a backup")


def _is_made(stage: Stage, source: str, now: Tree) -> bool:
    return all(now.get(name) == stage.after[name] for name in stage.targets[source])


def _judge_source(
    stage: Stage, source: str, row: Row | None, now: Tree, verdict: Verdict, *, sure: bool
) -> None:
    """A row tells the outcome of a source; if it must exist, it must be complete."""
    status = row["status"] if row else None
    if status in ("done", "skipped"):
        verdict.check(_is_made(stage, source, now), f"{source} is {status}, and it is not")
    elif sure or status is not None:
        made = [name for name in stage.targets[source] if now.get(name) != stage.before.get(name)]
        why = row.get("error") if row else None
        verdict.check(not made, f"{source} is {status}, and there is {made}: {why}")


def _told(ended: Ended) -> tuple[dict[str, Row], dict[str, Any], bool]:
    """The rows of a report by source, its summary, and whether it is torn."""
    rows: dict[str, Row] = {}
    summary: dict[str, Any] = {}
    text = ""
    with suppress(FileNotFoundError):
        text = ended.report.read_text()
    *lines, rest = text.split("\n")
    torn = bool(rest)
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            torn = True
            continue
        if "summary" in found:
            summary = found["summary"]
        elif "source" in found:
            rows[found["source"]] = found
    return rows, summary, torn
