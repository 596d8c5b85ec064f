"""The modules and the distribution are laid out as docs/design.md says."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import badges

REPOSITORY = Path(__file__).parent.parent
PACKAGE = Path(badges.__file__).parent

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)
modules = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def imported(path: Path, *, deferred: bool = True) -> Iterator[str]:
    """The modules of the package that a module imports, at once or (`deferred`) inside a function as well."""
    tree = ast.parse(path.read_text("utf-8"))
    delayed = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if id(node) in delayed and not deferred:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("badges.") for alias in node.names if alias.name.startswith("badges."))
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            if node.module == "badges":
                yield from (alias.name for alias in node.names)
            elif node.module and node.module.startswith("badges."):
                yield node.module.removeprefix("badges.")


def test_pure_stages_take_no_connection():
    """What is said to be pure runs without a database."""
    for stage in (
        "definitions/errors", "definitions/json_text", "definitions/types", "definitions/validation",
        "definitions/parser", "facts/rights", "facts/types", "facts/watches", "functions/types",
        "functions/expressions", "functions/runtime", "functions/qualifying", "functions/subjects", "functions/answers",
        "functions/trigger", "functions/check", "functions/progress", "functions/history", "functions/catch_up",
        "functions/compiler", "installation/types", "installation/diff", "installation/tables",
        "installation/transactions",
    ):  # fmt: skip
        source = (PACKAGE / f"{stage}.py").read_text("utf-8")
        assert "connection" not in {node.arg for node in ast.walk(ast.parse(source)) if isinstance(node, ast.arg)}
        assert "django.db" not in source


def test_every_sql_file_is_used():
    """No file of sql/ is left over, as its name stands in some module."""
    code = "".join(path.read_text("utf-8") for path in MODULES)
    runtime = (PACKAGE / "functions" / "runtime.py").read_text("utf-8")
    for path in (PACKAGE / "sql").rglob("*.sql"):
        is_named = path.parent.name == "runtime" and f'"{path.stem}"' in runtime
        assert is_named or f'"{path.parent.name}/{path.name}"' in code, path


def test_wheel():
    """The wheel is the folder src/badges, with all that is not Python; the tests lie outside."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    # Without further rules hatchling takes every file of these folders that git does not ignore.
    assert wheel == {"packages": ["src/badges"]}
    assert project["project"]["license-files"] == ["LICENSE"]
    for name in (
        "py.typed", "badge.schema.json", "sql/functions/body.sql", "sql/runtime/record.sql",
        "templates/badges/base.html", "templates/admin/badges/pagination.html",
        "static/badges/badges.css", "static/badges/live.js", "locale/de/LC_MESSAGES/django.mo",
    ):  # fmt: skip
        assert (REPOSITORY / "src" / "badges" / name).is_file()
    ignored = (REPOSITORY / ".gitignore").read_text("utf-8").split()
    assert not [rule for rule in ignored if rule.endswith((".sql", ".json", ".typed", ".html", ".css", ".svg", ".mo"))]
    assert not list(PACKAGE.rglob("test_*.py"))


def test_source_distribution():
    """Files that the source distribution names are there."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    for name in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]:
        assert (REPOSITORY / name).exists(), name


@modules
def test_the_admin_is_optional(path):
    """Only the modules in admin/ need Django's admin, and no other module imports them."""
    if path.parent.name != "admin":
        assert "django.contrib.admin" not in path.read_text("utf-8")
        assert not [name for name in imported(path) if name.split(".")[0] == "admin"]
