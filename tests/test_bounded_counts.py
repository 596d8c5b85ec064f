"""A condition that only counts reads no more rows than decide it, and decides as if it had counted all of them."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from badges import definitions, progress
from badges.facts import analysis
from badges.facts.target import describe_target
from badges.models import Failure

OWN = "from thing where user_id = NEW.user_id"
DJANGO = 'FROM "thing" U0 WHERE U0."user_id" = ("new"."user_id")'
OPERATORS = (">=", ">", "=", "<=", "<", "<>", "!=")


@pytest.fixture
def things(execute):
    """A table with values of several kinds, some of them NULL."""
    execute(
        "CREATE TYPE pair AS (a integer, b integer);"
        "CREATE TABLE thing (id serial PRIMARY KEY, user_id integer NOT NULL, kind text, n integer, p pair);"
        "CREATE INDEX ON thing (user_id)"
    )


def badge(code, condition, **changes):
    return entry(code, condition=condition, trigger_table="thing", **changes)


def goals(code, counted, *numbers, **changes):
    """A badge of several levels."""
    found = badge(code, "", **changes)
    for key in ("condition", "code"):
        del found[key]
    levels = [{"code": f"{code}-{number}", "goal": number, "name": f"{code} {number}"} for number in numbers]
    return found | {"progress": counted, "levels": levels}


def count_of(*entries):
    """What the analysis has found of the first badge."""
    declared = definitions.parse(json.dumps(entries))
    analysed = analysis.analyse(connection, describe_target(connection), declared)
    return next(iter(analysed[0].facts.values())).count


COUNTS = {
    f"count(*) >= 3 {OWN}": ("", OWN, ">=", 3),
    f"COUNT ( thing . kind )>3\n{OWN}": ("thing . kind", OWN, ">", 3),
    f'count("kind") <> 3 {OWN} -- all': ('"kind"', f"{OWN} -- all", "<>", 3),
    f"count(1) = 0 {OWN} and kind in (select 'a' from thing)": (
        "1",
        f"{OWN} and kind in (select 'a' from thing)",
        "=",
        0,
    ),
    f"(select count(*) {OWN}) >= 3": ("", OWN, ">=", 3),
    f'(SELECT COUNT(U0."id") AS "badges_aggregate" {DJANGO}) <= 3': ('U0."id"', DJANGO, "<=", 3),
}


@pytest.mark.parametrize(("condition", "expected"), COUNTS.items())
def test_what_is_a_count(things, condition, expected):
    """A count of all rows, or of a column, is known for one."""
    found = count_of(badge("count", condition))
    assert (found.counted, found.rows, found.operator, found.number) == expected


@pytest.mark.parametrize(
    "condition",
    [
        f"count(distinct kind) >= 3 {OWN}",
        f"count(all kind) >= 3 {OWN}",
        f"count(kind order by n) >= 3 {OWN}",
        f"count(*) filter (where n > 1) >= 3 {OWN}",
        f"count(*) >= 3 {OWN} group by user_id",
        f"count(*) >= 3 {OWN} having true",
        f"count(*) >= 3 {OWN} order by 1",
        f"count(*) >= 3 {OWN} limit 1",
        f"count(*) >= 3 {OWN} offset 0",
        f"count(*) >= 3 {OWN} union select true",
        f"count(*) >= 3 and true {OWN}",
        f"count(*) + 0 >= 3 {OWN}",
        f"count(*) >= 3.5 {OWN}",
        f"count(*) >= NEW.n {OWN}",
        f"count(*) >= 3 as many {OWN}",
        f"count(nullif(n, 1)) >= 3 {OWN}",
        f"count(a) = 1 and count(b) >= 3 from (select 1 as a, 2 as b {OWN}) as t",
        f"sum(n) >= 3 {OWN}",
        f"(select count(*) {OWN}) >= 1 and (n) >= 3",
        f"(select count(*) {OWN} group by user_id) >= 3",
        f"(select count(*) {OWN}) >= 3 or (select count(*) {OWN}) >= 3",
        f"(select count(*) filter (where true) {OWN}) >= 3",
    ],
)
def test_what_is_no_count(things, condition):
    """What more rows could change, or what PostgreSQL does not say is a count, is evaluated as it stands."""
    assert count_of(badge("count", condition)) is None


@pytest.mark.parametrize(
    "made",
    [
        "CREATE AGGREGATE public.count (integer) (SFUNC = int4larger, STYPE = integer)",
        """
        CREATE FUNCTION more(bigint, integer) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN $1 % $2 = 1;
        CREATE OPERATOR public.>= (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = more)
        """,
    ],
    ids=["function", "operator"],
)
@pytest.mark.parametrize("beside", ["", " and (select count(*) from thing) >= 0"], ids=["", "beside PostgreSQL's"])
def test_names_of_the_site(things, execute, made, beside):
    """A function named count, or an operator named >=, may be the site's own."""
    execute(f"{made}; SELECT set_config('search_path', 'public, pg_catalog', false)")
    try:
        assert count_of(badge("count", f"count(n) >= 3 {OWN}{beside}")) is None
    finally:
        execute("RESET search_path")


def naive(execute, user, condition):
    """Whether a condition holds for a user, as PostgreSQL has it."""
    [(found,)] = execute(f"SELECT (SELECT {condition}) FROM (SELECT {user.pk} AS user_id) AS new")
    return bool(found)


@pytest.mark.parametrize("revocable", [False, True], ids=["", "revocable"])
@pytest.mark.parametrize("counted", ["*", "kind", "p", "thing", "thing.n"])
@pytest.mark.parametrize("level", ["statement", "row"])
def test_as_if_all_were_counted(things, declare, execute, counted, revocable, level):
    """Each operator, around its number: in triggers, badges_check, award_badges, and for removed rows."""
    if level == "row":
        execute("CREATE TABLE parent (LIKE thing); ALTER TABLE thing INHERIT parent")
    conditions = {
        f"{name}-{number}-{form}": text
        for name, operator in enumerate(OPERATORS)
        for number in (0, 2)
        for form, text in enumerate(
            [
                f"count({counted}) {operator} {number} {OWN}",
                f"(select count({counted}) {OWN}) {operator} {number}",
            ]
        )
    }
    declare(*(badge(f"c{code}", text, revocable=revocable) for code, text in conditions.items()))
    user = User.objects.create(username="counted")
    ever = set()

    def check():
        holding = {code for code, text in conditions.items() if naive(execute, user, text)}
        ever.update(holding)
        expected = holding if revocable else ever
        held = {code[1:] for (code,) in execute("SELECT code FROM badges_badge WHERE user_id = %s", [user.pk])}
        assert held == expected
        for code in conditions:
            [(earned,)] = execute(
                "SELECT earned FROM badges_check(%s, 'state', %s, '', NULL, NULL, true)", [f"c{code}", user.pk]
            )
            assert earned == (code in holding)

    for values in (
        ["(NULL, NULL, NULL)"],
        ["('a', 1, '(1,)')"],
        ["('a', NULL, NULL)", "('b', 2, '(1,2)')"],
        ["('a', 1, '(,)')"],
        ["(NULL, 3, NULL)"],
    ):
        rows = ", ".join(f"({user.pk}, {value[1:]}" for value in values)
        execute(f"INSERT INTO thing (user_id, kind, n, p) VALUES {rows}")
        check()
    execute("DELETE FROM badges_badge")
    ever.clear()
    call_command("award_badges", yes=True, verbosity=0)
    check()
    if revocable:
        for _ in range(3):
            execute("DELETE FROM thing WHERE id IN (SELECT max(id) FROM thing)")
            check()
    assert not Failure.objects.exists()


def tuples_read(execute):
    """What this transaction has read of the table and its indexes."""
    [(found,)] = execute(
        "SELECT sum(pg_stat_get_xact_tuples_returned(c.oid)) FROM pg_class c"
        " WHERE c.oid = 'thing'::regclass"
        " OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'thing'::regclass)"
    )
    return found


CASES = {
    "condition": lambda: [badge("count", f"count(*) >= 10 {OWN}", revocable=True)],
    "column": lambda: [badge("count", f"count(kind) >= 10 {OWN}", revocable=True)],
    "subquery": lambda: [badge("count", f"(select count(*) {OWN}) >= 10", revocable=True)],
    "two": lambda: [badge(f"count{n}", f"count(*) >= {n} {OWN}", revocable=True) for n in (5, 10)],
    "levels": lambda: [goals("count", f"count(*) {OWN}", 5, 10, revocable=True)],
    "levels of a subquery": lambda: [goals("count", f"(select count(id) {OWN})", 5, 10, revocable=True)],
    "of a row": lambda: [badge("count", f"count(*) >= 10 {OWN} and NEW.n = 1", revocable=True)],
}


@pytest.mark.parametrize("level", ["statement", "row"])
@pytest.mark.parametrize("case", CASES)
def test_no_further_than_the_goal(things, declare, execute, user, held, case, level):
    """A holder of a revocable badge has 3,000 rows: a write reads some ten of them, and so does badges_check."""
    if level == "row":
        execute("CREATE TABLE parent (LIKE thing); ALTER TABLE thing INHERIT parent")
    execute("INSERT INTO thing (user_id, kind, n) SELECT %s, 'a', 1 FROM generate_series(1, 3000)", [user.pk])
    execute("ANALYZE thing")
    declare(*CASES[case]())
    call_command("award_badges", yes=True, verbosity=0)
    codes = held(user)
    assert codes
    for statement in (
        "INSERT INTO thing (user_id, kind, n) VALUES (%s, 'a', 1)",
        "INSERT INTO thing (user_id, kind, n) VALUES (%s, 'a', 1), (2000000, 'b', 1)",
        "DELETE FROM thing WHERE id = (SELECT min(id) FROM thing) AND user_id = %s",
        f"SELECT badges_check('{codes[0]}', 'state', %s, '', NULL, NULL, true)",
    ):
        before = tuples_read(execute)
        execute(statement, [user.pk])
        assert tuples_read(execute) - before < 150, statement
    assert held(user) == codes


def test_what_is_shown_is_the_whole_number(things, declare, execute, user):
    """Progress counts on beyond the goal."""
    declare(goals("count", f"count(*) {OWN}", 2, 3))
    execute("INSERT INTO thing (user_id) SELECT %s FROM generate_series(1, 7)", [user.pk])
    shown = progress.of(connection, [user.pk], {"count-2": Decimal(2), "count-3": Decimal(3)})[user.pk]
    assert [each.value for each in shown.values()] == [7, 7]
