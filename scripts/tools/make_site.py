"""scripts/tool make_site [build | serve]: build the site of docs/ in site/, or serve it.

Also the hook of MkDocs (see mkdocs.yml) that adds the pages outside docs/, where people look for
them. Needs the extra `docs`, which scripts/docs installs. A dead link is an error.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add those pages, with links into docs/ made relative to it."""
    # The other tools and their tests do without MkDocs.
    from mkdocs.structure.files import File

    for name, origin in PAGES.items():
        text = (ROOT / origin).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links in docs/ lead to those pages."""
    for name, origin in PAGES.items():
        markdown = re.sub(rf"\]\(\.\./{re.escape(origin)}", f"]({name}", markdown)
    return markdown


def main() -> int:
    """Run MkDocs, strictly; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("build", "serve"), default="build")
    what = parser.parse_args().what
    done = subprocess.run([sys.executable, "-m", "mkdocs", what, "--strict"], cwd=ROOT, check=False)
    if what == "build" and done.returncode == 0:
        print("Site: site/index.html")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
