"""The site's pages that stand outside docs/, where people look for them: a hook of MkDocs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them, with links to docs/ as they are from within."""
    for name, origin in PAGES.items():
        text = (ROOT / origin).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links from within docs/ lead to them."""
    for name, origin in PAGES.items():
        markdown = re.sub(rf"\]\(\.\./{re.escape(origin)}", f"]({name}", markdown)
    return markdown
