"""Sound badges are checked together; one by one is for badges that have failed.

Whatever goes wrong in a trigger function is caught, and the badges are then tried one by one: a mistake in the common
path would only be slow. Here that way out is closed.
"""

from __future__ import annotations

import re

import pytest
from conftest import entry

from badges.models import Failure

pytestmark = pytest.mark.django_db

COUNT = "count(*) >= 2 from {} where user_id = NEW.user_id"
KINDS = {
    "row-local": {"condition": "NEW.views >= 100"},
    "pairs rows": {"condition": "NEW.views > OLD.views", "trigger_condition": "update"},
    "cross-row": {"condition": COUNT},
    "cross-row and of its row": {"condition": f"NEW.views >= 100 and (select {COUNT})"},
    "deleted": {"condition": "OLD.views >= 100", "trigger_condition": "delete"},
    "deleted, cross-row": {"condition": COUNT.replace("NEW", "OLD"), "trigger_condition": "delete"},
    "for each thing": {"condition": "NEW.views >= 100", "per": "id"},
    "for each thing, cross-row": {"condition": COUNT, "per": "id"},
    "ends": {"condition": COUNT, "expires_after": "1 day"},
    "ends, row-local": {"condition": "NEW.views >= 100", "expires_after": "1 day"},
    "revocable": {"condition": COUNT, "revocable": True},
    "revocable, row-local": {"condition": "NEW.views >= 100", "revocable": True},
    "revocable per subject": {"condition": "NEW.views >= 100", "revocable": True, "per": "id"},
    "goal": {"progress": COUNT.replace(" >= 2", ""), "goal": 2},
    "goal, row-local": {"progress": "NEW.views", "goal": 100},
    "goal, revocable": {"progress": COUNT.replace(" >= 2", ""), "goal": 2, "revocable": True},
    "goal, revocable, row-local": {"progress": "NEW.views", "goal": 100, "revocable": True},
    "goal of each thing": {"progress": "NEW.views", "goal": 100, "revocable": True, "per": "id"},
}
TABLES = {
    "statement-level": "CREATE TABLE works (id bigint PRIMARY KEY, user_id integer, views integer)",
    "row-level": """
        CREATE TABLE works (id bigint, user_id bigint, views integer) PARTITION BY RANGE (id);
        CREATE TABLE works_rest PARTITION OF works DEFAULT
        """,
    "other type": "CREATE TABLE works (id numeric, user_id bigint, views bigint)",
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "kinds",
    [pytest.param(list(KINDS), id="all"), *(pytest.param([kind], id=kind, marks=pytest.mark.long) for kind in KINDS)],
)
def test_common_path(declare, execute, user, table, kinds):
    """Single rows, many rows, updates and deletions of each kind of badge go well without a second way."""
    execute(TABLES[table])
    badges = [entry("beside", condition=COUNT.format("works"), trigger_table="works")]
    for kind in kinds:
        keys = {key: value.format("works") if isinstance(value, str) else value for key, value in KINDS[kind].items()}
        code = re.sub(r"\W+", "-", kind).strip("-")
        badges.append(entry(code, **{"trigger_table": "works", "trigger_condition": ["insert", "update"], **keys}))
        if "progress" in badges[-1]:
            del badges[-1]["condition"]
    declare(*badges)
    execute(
        """
        CREATE OR REPLACE FUNCTION badges_one_by_one(
            asks text, occasion jsonb, users integer[], things text[],
            news jsonb[], olds jsonb[], codes text[], cross_row boolean[], revocable boolean[], reads jsonb[])
        RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'one by one'; END $$
        """
    )
    insert = "INSERT INTO works SELECT n, %s, %s FROM generate_series(%s::bigint, %s) AS n"
    for statement, params in (
        (insert, [user.pk, 0, 1, 1]),
        (insert, [user.pk, 150, 2, 2]),
        (insert, [user.pk, 150, 3, 9]),
        (insert, [None, 150, 10, 12]),
        (insert, [-1, 150, 13, 15]),
        ("UPDATE works SET views = views + 50 WHERE id = 1", None),
        ("UPDATE works SET views = views + 50", None),
        ("UPDATE works SET views = 0 WHERE id <= 3", None),
        ("DELETE FROM works WHERE id = 9", None),
        ("DELETE FROM works WHERE id > 3", None),
        (insert, [user.pk, 150, 20, 20]),
        ("DELETE FROM works", None),
    ):
        execute(statement, params)
    assert list(Failure.objects.values_list("code", "message")) == []
