"""Conditions with the same FROM clause are one query, with the same awards as separate queries."""

from __future__ import annotations

import json

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.db import connection

from badges import definitions
from badges.facts import analysis, probes
from badges.facts.target import describe_target
from badges.models import Badge, Failure, PendingCheck

pytestmark = pytest.mark.django_db

OWN = "from dummy_sketch where user_id = NEW.user_id"
COUNTS = {
    "two": f"count(*) >= 2 {OWN}",
    "views": f"sum(hit_views) > 100 {OWN}",
    "mild": f"max(hit_views) IS DISTINCT FROM 0 {OWN}",
    "old": f"extract(year from now()) > 2000 AND count(*) > 3 {OWN}",
    "named": f"bool_or(title = 'from here') {OWN}",
}


def facts(*conditions, **changes):
    entries = [entry(f"badge_{n}", condition=condition, **changes) for n, condition in enumerate(conditions)]
    declared = definitions.parse(json.dumps(entries))
    analysed = analysis.analyse(connection, describe_target(connection), declared)
    return [next(iter(each.facts.values())) for each in analysed]


def halves(*conditions, **changes):
    return [(each.select_list, each.from_clause) for each in facts(*conditions, **changes)]


@pytest.mark.parametrize("event", ["insert", "update"])
def test_halves(event):
    """A condition is parted at the FROM of its query, wherever else the word stands."""
    found = halves(*COUNTS.values(), trigger_condition=event)
    assert found == [(condition.removesuffix(f" {OWN}"), OWN) for condition in COUNTS.values()]


@pytest.mark.parametrize(
    "condition",
    [
        f"hit_views > {{}} {OWN} and id = NEW.id",
        f"count(*) > {{}} {OWN} group by title",
        f"count(*) > {{}} {OWN} having true",
        f"count(*) > {{}} {OWN} order by 1",
        f"count(*) > {{}} {OWN} limit 1",
        f"count(*) > {{}} {OWN} offset 0",
        f"count(*) > {{}} {OWN} union select true",
        f"distinct count(*) > {{}} {OWN}",
        f"count(*) > {{}} as many {OWN}",
        f"count(*) > {{}} -- from dummy_sketch\n {OWN}",
        f"count(*) > {{}} and exists (select {OWN}) {OWN}",
        f"(select count(*) {OWN}) >= {{}}",
        "NEW.title = 'from {}'",
        "NEW.hit_views > {} and (select true from dummy_sketch limit 1)",
    ],
)
def test_what_is_not_shared(condition):
    """What is more than one row of aggregates, or is no query, is asked by itself."""
    assert halves(*(condition.format(n) for n in range(2))) == [("", ""), ("", "")]


def test_alone():
    """A condition whose FROM clause no other has is asked as it stands."""
    assert halves(COUNTS["two"], f"count(*) >= 2 {OWN} and true") == [("", ""), ("", "")]


def test_a_word_inside_a_text():
    """What stands between quotes or in a comment is no FROM clause."""
    deceiving = ["x = 'a from b'", "/* from b */ true"]
    assert probes.halve(connection, [*deceiving, *(f"y and {each}" for each in deceiving)]) == {}


def sketches(*views, title="A"):
    return [(view, title) for view in views]


#: The sketches of a user each.
SKETCHES = [
    sketches(0),
    sketches(0, 0),
    sketches(200),
    sketches(1, 2, 3, 4),
    sketches(0, title="from here"),
    sketches(*[50] * 5),
]


@pytest.mark.parametrize("at_once", [True, False], ids=["one statement", "row by row"])
@pytest.mark.parametrize("keys", [{}, {"revocable": True}], ids=["", "revocable"])
def test_together_as_alone(declare, execute, at_once, keys):
    """What is awarded by the shared query is what each badge is awarded by itself."""

    def awarded(*entries):
        declare(*entries)
        for number, rows in enumerate(SKETCHES):
            user = User.objects.create(username=f"{number} {User.objects.count()}")
            for part in [rows] if at_once else [[row] for row in rows]:
                execute(
                    "INSERT INTO dummy_sketch (user_id, title, hit_views)"
                    " SELECT %s, title, views FROM unnest(%s::int[], %s::text[]) AS new (views, title)",
                    [user.pk, [views for views, _ in part], [title for _, title in part]],
                )
            for code in Badge.objects.filter(user=user).values_list("code", flat=True):
                yield number, code
        assert not Failure.objects.exists()

    entries = [entry(code, condition=condition, **keys) for code, condition in COUNTS.items()]
    together = set(awarded(*entries))
    assert together == {each for alone in entries for each in awarded(alone)}
    # One sketch of nothing earns nothing.
    assert {number for number, _ in together} == set(range(1, len(SKETCHES)))


def test_one_query(declare, execute):
    """The table is read once for all of them, and once for those that only count, which read no more than they need."""
    declare(*(entry(code, condition=condition) for code, condition in COUNTS.items()))
    [(body,)] = execute("SELECT prosrc FROM pg_proc WHERE proname LIKE 'badges_insert_dummy_sketch%'")
    assert body.count(OWN) == 4  # for one row, and for many


def test_what_is_held_is_not_asked_again(declare, execute, user, held):
    """A user who holds some of the badges is awarded the others; one who holds all is not counted any more."""
    declare(*(entry(code, condition=condition) for code, condition in COUNTS.items()))
    for code in ("two", "views", "mild"):
        Badge.objects.award(user, code)
    for _ in range(4):
        execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'from here')", [user.pk])
    assert held(user) == sorted(COUNTS)


def test_one_that_fails(declare, execute, user, held):
    """An error in one answer is that badge's alone."""
    declare(
        entry("two", condition=COUNTS["two"]),
        entry("wrong", condition=f"10 / (count(*) - 2) > 100 {OWN}"),
    )
    for _ in range(2):
        execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'A')", [user.pk])
    assert held(user) == ["two"]
    assert list(Failure.objects.values_list("code", flat=True)) == ["wrong"]


def test_taken_back(declare, execute, user, held):
    """Each of several revocable badges goes when its own condition is false."""
    declare(
        *(
            entry(f"sketches_{n}", condition=f"count(*) >= {n} {OWN}", trigger_condition=["insert"], revocable=True)
            for n in (1, 2, 3)
        )
    )
    execute("INSERT INTO dummy_sketch (user_id, title) SELECT %s, 'A' FROM generate_series(1, 3)", [user.pk])
    assert held(user) == ["sketches_1", "sketches_2", "sketches_3"]
    execute("DELETE FROM dummy_sketch WHERE id IN (SELECT id FROM dummy_sketch WHERE user_id = %s LIMIT 1)", [user.pk])
    assert held(user) == ["sketches_1", "sketches_2"]


def test_one_that_is_held_and_fails(declare, execute, user, held):
    """What is held is not asked, so that its error is no reason to leave checks."""
    declare(
        entry("few", condition=f"sqrt(4 - count(*)) < 2 {OWN}"),
        entry("hundred", condition=f"count(*) >= 100 {OWN}"),
    )
    for _ in range(7):
        execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'A')", [user.pk])
    assert held(user) == ["few"]
    assert not Failure.objects.exists()
    assert not PendingCheck.objects.exists()


@pytest.mark.parametrize(
    "condition", ["regexp_matches(NEW.title, 'gold') IS NOT NULL", "unnest(ARRAY[NEW.title = 'gold'])", "(NEW.medal).*"]
)
def test_what_is_no_expression(declare, execute, user, held, condition):
    """What SELECT makes one value of, and parentheses do not, is asked behind SELECT."""
    execute(
        "CREATE TYPE medal AS (is_golden boolean);"
        "ALTER TABLE dummy_sketch ADD medal medal;"
        "ALTER TABLE dummy_sketch ADD CHECK (((medal).is_golden) = (title = 'gold'))"
    )
    declare(entry("golden", condition=condition))
    for titles in (["A"], ["gold"]):
        execute(
            "INSERT INTO dummy_sketch (user_id, title, medal) SELECT %s, title, ROW(title = 'gold')::medal"
            " FROM unnest(%s::text[]) AS title",
            [user.pk, titles],
        )
    assert held(user) == ["golden"]
    assert not Failure.objects.exists()


def test_names_of_ours(declare, execute, user, held):
    """A FROM clause may use the names that our own SQL uses."""
    declare(
        *(
            entry(
                f"{name}_{n}", condition=f"count(*) >= {n} from dummy_sketch {name} where {name}.user_id = NEW.user_id"
            )
            for name in ("own", "badges_held", "held", "badge", "shared_1")
            for n in (1, 2)
        )
    )
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'A'), (%s, 'B')", [user.pk, user.pk])
    assert len(held(user)) == 10
    assert not Failure.objects.exists()
