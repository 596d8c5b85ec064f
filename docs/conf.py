"""The site of the documents: the Markdown files of the repository, as they are, with navigation and search.

sphinx-build -c docs . site
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

project = "django-pg-badges"
copyright = "The django-pg-badges contributors"  # noqa: A001
html_title = project

extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/images/*"]
# The anchors that GitHub derives from the headings.
myst_heading_anchors = 4
highlight_language = "none"
# Options of commands keep their two hyphens.
smartquotes = False
# Django's tags within an HTML attribute.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_theme_options = {
    "source_repository": "https://github.com/django-pg-badges/django-pg-badges/",
    "source_branch": "main",
    "source_directory": "",
}
html_show_sphinx = False
html_copy_source = False


def navigation(readme: str) -> dict[str, list[str]]:
    """The groups of documents that the README lists, with the paths of their pages."""
    [listed] = re.findall(r"^## Documentation\n(.*?)^## ", readme, re.MULTILINE | re.DOTALL)
    groups = re.findall(r"^- ([^:]+):(.*?)(?=^- |\Z)", listed, re.MULTILINE | re.DOTALL)
    return {caption: re.findall(r"\]\(([^)#]+)\.md\)", links) for caption, links in groups}


def add_navigation(app: Any, document: str, source: list[str]) -> None:
    """Append the navigation to the README, where GitHub would show it as code."""
    if document == root_doc:
        for caption, pages in navigation(source[0]).items():
            names = "\n".join(f"/{page}" for page in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{names}\n```\n"


def add_index(app: Any, error: Exception | None) -> None:
    """Show the README at the address of the site."""
    if not error and app.builder.format == "html":
        shutil.copy(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_navigation)
    app.connect("build-finished", add_index)
