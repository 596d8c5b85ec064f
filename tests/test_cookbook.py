"""The recipes of docs/cookbook.md: installed together from the page, each earned and missed by the writes it states."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from badges import definitions
from badges.installation import executor

PAGE = (Path(__file__).parent.parent / "docs" / "cookbook.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPE = re.compile(r"^### (\d+\..*)\n((?:(?!^#).*\n)*)", re.MULTILINE)
RECIPES = {title: dict(BLOCK.findall(text)) for title, text in RECIPE.findall(PAGE)}
WRITES = re.compile(r"^-- (earns|does not earn|revokes) ([\w-]+).*\n((?:(?!^-- ).*\n)*)", re.MULTILINE)

Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def run(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[Callable[[str], Rows]]:
    """A site with the tables and all badges of the page, in a transaction; gives a way to run SQL."""
    path = tmp_path_factory.mktemp("cookbook") / "badge.json"
    entries = [entry for blocks in RECIPES.values() for entry in json.loads(blocks["json"])]
    path.write_text(json.dumps(entries), "utf-8")

    def execute(statements: str) -> Rows:
        with connection.cursor() as cursor:
            cursor.execute(statements)
            return cursor.fetchall() if cursor.description else []

    with django_db_blocker.unblock(), transaction.atomic():
        User.objects.bulk_create(
            User(pk=key, username=name, date_joined="2026-05-01 12:00Z" if name == "dan" else "2024-03-01 09:00Z")
            for key, name in enumerate(("ada", "bob", "cara", "dan"), 1)
        )
        execute(BLOCK.search(PAGE)[2])
        executor.apply(connection, definitions.load(path), path)
        yield execute
        transaction.set_rollback(True)


def test_recipes():
    """The recipes are numbered, and each shows a write that earns its badge and one that does not."""
    assert [int(title.split(".")[0]) for title in RECIPES] == list(range(1, len(RECIPES) + 1))
    for title, blocks in RECIPES.items():
        shown = WRITES.findall(blocks["sql"])
        declared = [json.dumps(entry) for entry in json.loads(blocks["json"])]
        assert {"earns", "does not earn"} <= {what for what, _, _ in shown}, title
        assert all(any(f'"code": "{code}"' in entry for entry in declared) for _, code, _ in shown), title
        assert all(any(f'"code": "{code}"' in entry for _, code, _ in shown) for entry in declared), title


@pytest.mark.django_db
@pytest.mark.parametrize("title", RECIPES)
def test_recipe(title, run):
    """ada earns the badge by what the page says, no other user does, and the near misses earn it for none."""
    cases: list[list[tuple[str, ...]]] = []
    for write in WRITES.findall(RECIPES[title]["sql"]):
        if write[0] == "revokes":
            cases[-1].append(write)
        else:
            cases.append([write])
    for case in cases:
        with transaction.atomic():
            for what, code, statements in case:
                run(statements)
                holders = {user for (user,) in run(f"SELECT user_id FROM badges_badge WHERE code = '{code}'")}
                assert holders == ({1} if what == "earns" else set()), (what, code, statements)
                assert run("SELECT code, message FROM badges_failure") == []
            transaction.set_rollback(True)
