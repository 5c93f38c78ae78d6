"""What starts before the command line is parsed, judging by its look alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgbatch.cli import warm_up


@pytest.mark.parametrize(
    ("words", "numpy"),
    [
        (("resize", "IN", "-s", "80"), False),
        (("resize", "-s", "80", "IN", "-o", "OUT"), False),
        (("resize", "IN", "--filter=blur"), True),
        (("resize", "IN", "--filter", "blur"), True),
        (("run", "web-gallery", "IN"), True),
        (("resize", "a.jpg", "-o", "OUT"), None),
        (("resize", "IN", "-n"), None),
        (("resize", "--help", "IN"), None),
        (("formats", "IN"), None),
        ((), None),
    ],
)
def test_server_starts_if_a_command_gets_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], numpy: bool | None
) -> None:
    for name in ("IN", "OUT"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    started: list[bool] = []
    monkeypatch.setattr(warm_up, "start", lambda *, numpy: started.append(numpy))

    warm_up.guess(words)

    assert started == ([] if numpy is None else [numpy])
