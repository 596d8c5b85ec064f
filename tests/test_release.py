"""What is published is complete: the README on PyPI, the workflows, the templates of issues, llms.txt."""

from __future__ import annotations

import itertools
import os
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
HOME = "https://github.com/django-pg-badges/django-pg-badges"
RAW = "https://raw.githubusercontent.com/django-pg-badges/django-pg-badges/main/"
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")
HOSTED = sorted((REPOSITORY / ".github").rglob("*.yml"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def readme_on_pypi() -> str:
    """The README after the substitutions of hatch-fancy-pypi-readme."""
    text = (REPOSITORY / "README.md").read_text("utf-8")
    for each in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    return text


def test_links_of_the_readme_on_pypi():
    """Links and images of the README are absolute on PyPI, and lead to files of the repository."""
    before = LINK.findall((REPOSITORY / "README.md").read_text("utf-8"))
    after = LINK.findall(readme_on_pypi())
    assert len(before) == len(after) > 20
    for (image, path), (_, url) in zip(before, after, strict=True):
        assert url == path if path.startswith("https://") else url == (RAW if image else f"{HOME}/blob/main/") + path


def test_addresses():
    """All addresses of the repository are those of the metadata."""
    urls = PROJECT["project"]["urls"]
    assert {"Documentation", "Source", "Issues", "Changelog"} <= set(urls)
    assert urls["Source"] == HOME
    for path in (*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md"), *HOSTED):
        for name in re.findall(r"github\.com/([\w-]*badges[\w-]*/[\w-]+)", path.read_text("utf-8")):
            assert f"https://github.com/{name}" == HOME, path


def test_llms_txt():
    """Each link of llms.txt leads to a file."""
    links = LINK.findall((REPOSITORY / "llms.txt").read_text("utf-8"))
    assert len(links) > 20
    assert not [path for _, path in links if not (REPOSITORY / path).is_file()]


def test_ci_runs_what_developers_run():
    """The hosted CI calls .ci/run and nothing else."""
    job = load(REPOSITORY / ".github/workflows/ci.yml")["jobs"]["run"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(REPOSITORY / ".ci/run", os.X_OK)


def test_release_needs_no_secret():
    """A release is checked, then published with an identity in place of a password."""
    jobs = load(REPOSITORY / ".github/workflows/release.yml")["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build"
    commands = "\n".join(step.get("run", "") for step in jobs["build"]["steps"])
    assert "twine check --strict" in commands
    assert "secrets." not in (REPOSITORY / ".github/workflows/release.yml").read_text("utf-8")


@pytest.mark.parametrize("path", HOSTED, ids=lambda path: path.name)
def test_hosted_files(path):
    """Each file of the repository's host is YAML with the parts that the host expects."""
    content = load(path)
    if path.parent.name == "workflows":
        # YAML reads the key `on` as true.
        assert {"name", True, "permissions", "jobs"} <= set(content)
    elif path.name != "config.yml":
        assert {"name", "description", "body"} <= set(content)
        assert all(part["type"] in ("textarea", "input") and part["attributes"]["label"] for part in content["body"])


def test_site_has_every_document():
    """The navigation of the site, which comes from the README, has every document once."""
    navigation = runpy.run_path(str(REPOSITORY / "docs" / "conf.py"))["navigation"]
    groups = navigation((REPOSITORY / "README.md").read_text("utf-8"))
    documents = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    names = [path.relative_to(REPOSITORY).as_posix().removesuffix(".md") for path in documents]
    assert len(groups) > 3
    assert sorted(["README", *itertools.chain(*groups.values())]) == sorted(names)
