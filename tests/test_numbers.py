"""What decides is the number that is shown; a subject is one subject; an interval lies in the future."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from badges import definitions, exceptions, progress
from badges.facts import analysis
from badges.facts.target import describe_target


@pytest.fixture
def measures(execute):
    """A table of numbers of users."""
    execute(
        "CREATE TABLE measure (id serial PRIMARY KEY, user_id integer NOT NULL, f float8, r real, n numeric,"
        " c char(5), j jsonb, a integer[], s numrange)"
    )
    execute("CREATE INDEX ON measure (user_id)")


def goal_of(expression, events=("insert", "update"), **changes):
    """A badge with the progress `expression` towards 1."""
    badge = entry("goal", trigger_table="measure", trigger_condition=list(events), **changes)
    del badge["condition"]
    return badge | {"progress": expression, "goal": 1}


SUM = "sum({0}) FROM measure AS m WHERE m.user_id = NEW.user_id"
ROW = "NEW.{0}"

#: An expression over column {0}, its values, and whether the goal is reached; what is shown is the same.
NUMBERS = {
    "ten tenths": (SUM, "f", ["0.1"] * 10, True),
    "ten tenths, real": (SUM, "r", ["0.1"] * 10, True),
    "nine tenths": (SUM, "f", ["0.1"] * 9, False),
    "numeric, exactly": (SUM, "n", ["0.1"] * 10, True),
    "numeric, nearly": (SUM, "n", ["0.9999999999999999999999999999999999"], False),
    "NaN": (SUM, "f", ["NaN"], False),
    "NaN, numeric": (SUM, "n", ["NaN"], False),
    "NaN of a row": (ROW, "f", ["NaN"], False),
    "infinity": (SUM, "f", ["Infinity"], False),
    "infinity, numeric": (SUM, "n", ["Infinity"], False),
    "infinity of a row": (ROW, "n", ["Infinity"], False),
    "minus infinity": (SUM, "f", ["-Infinity"], False),
    "NaN beside one": (ROW, "f", ["NaN", "1"], True),
    "a row": (ROW, "f", ["0.99999999999999999", "0.5"], True),
}


@pytest.mark.parametrize("revocable", [False, True], ids=["", "revocable"])
@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
def test_what_is_shown_decides(measures, declare, execute, settings, together, revocable):
    """Triggers, award_badges and badges_check decide by the number that badges_progress gives."""
    # A badge for each expression and column, a user for each case.
    codes = {
        kind: f"goal-{number}" for number, kind in enumerate(sorted({(each[0], each[1]) for each in NUMBERS.values()}))
    }
    declare(*(goal_of(kind[0].format(kind[1]), revocable=revocable) | {"code": code} for kind, code in codes.items()))
    cases = {
        name: (User.objects.create(username=name), codes[expression, column])
        for name, (expression, column, _, _) in NUMBERS.items()
    }
    expected = {name: is_reached for name, (*_, is_reached) in NUMBERS.items()}

    def awarded():
        held = set(execute("SELECT user_id, code FROM badges_badge"))
        return {name: (user.pk, code) in held for name, (user, code) in cases.items()}

    for name, (_, column, values, _) in NUMBERS.items():
        statement = f"INSERT INTO measure (user_id, {column}) SELECT %s, v::float8 FROM unnest(%s::text[]) AS v"
        if column == "n":
            statement = statement.replace("float8", "numeric")
        for batch in [values] if together else [[value] for value in values]:
            execute(statement, [cases[name][0].pk, batch])
    assert awarded() == expected
    goals = {definition.code: definition.goal for definition in definitions.load(settings.BADGES_FILE)}
    shown = progress.of(connection, [user.pk for user, _ in cases.values()], goals)
    shown = {name: shown[user.pk][code] for name, (user, code) in cases.items()}
    assert {name: each.value is not None and each.value >= 1 for name, each in shown.items()} == expected
    assert {name: str(each) == "1 of 1" for name, each in shown.items()} == expected
    execute("DELETE FROM badges_badge")
    for _ in range(2):
        call_command("award_badges", yes=True, verbosity=0)
        assert awarded() == expected
    checked = {
        name: execute("SELECT earned FROM badges_check(%s, 'state', %s, '', NULL, NULL, true)", [code, user.pk])
        for name, (user, code) in cases.items()
    }
    assert checked == {name: [(is_reached,)] for name, is_reached in expected.items()}
    assert execute("SELECT code FROM badges_failure") == []


def test_all_digits_are_shown():
    """A number that is nearly the goal is not shown as the goal."""
    nearly = Decimal("0.9999999999999999999999999999999999")
    assert str(progress.Progress(nearly, Decimal(1))) == f"{nearly} of 1"
    assert str(progress.Progress(Decimal("10.00"), Decimal("2E+1"))) == "10 of 20"
    assert str(progress.Progress(None, Decimal("2.50"))) == "0 of 2.5"


@pytest.mark.parametrize("revocable", [False, True], ids=["", "revocable"])
@pytest.mark.parametrize("together", [False, True], ids=["one by one", "together"])
@pytest.mark.parametrize(
    ("column", "values", "subjects"),
    [("n", ["1.0", "1.00", "1", "2.50"], ["1", "2.5"]), ("c", ["a", "a  ", "b"], ["a", "b"])],
)
def test_a_subject_is_one_subject(measures, declare, execute, user, column, values, subjects, together, revocable):
    """Equal values of the column that `per` names are one subject, for triggers, award_badges and catch-up."""
    each = entry("each", condition="true", per=column, trigger_table="measure", revocable=revocable)
    counted = "count(*) > 0 FROM measure AS m WHERE m.user_id = NEW.user_id"
    declare(each, each | {"code": "others", "condition": counted})
    type_ = {"n": "numeric", "c": "bpchar"}[column]
    insert = f"INSERT INTO measure (user_id, {column}) SELECT %s, v::{type_} FROM unnest(%s::text[]) AS v"
    for batch in [values] if together else [[value] for value in values]:
        execute(insert, [user.pk, batch])
    of_badge = "SELECT code, thing FROM badges_badge ORDER BY code, thing"
    expected = [(code, subject) for code in ("each", "others") for subject in subjects]
    assert execute(of_badge) == expected
    call_command("award_badges", yes=True, verbosity=0)
    assert execute(of_badge) == expected
    execute("DELETE FROM badges_badge")
    call_command("award_badges", yes=True, verbosity=0)
    assert execute(of_badge) == expected
    if revocable:
        execute("DELETE FROM measure WHERE id = (SELECT min(id) FROM measure)")
        assert execute(of_badge) == expected
        execute("DELETE FROM measure")
        assert execute(of_badge) == []


def errors_of(badge):
    target = describe_target(connection)
    with pytest.raises(exceptions.InvalidDefinitions) as failure:
        analysis.analyse(connection, target, definitions.parse(json.dumps([badge])))
    return [(error.place, error.message) for error in failure.value.errors]


@pytest.mark.parametrize("column", ["f", "r", "j", "a", "s"])
def test_a_subject_of_several_texts_is_rejected(measures, column):
    """A column whose equal values have several texts cannot name subjects."""
    [(_, message)] = errors_of(entry("each", condition="true", per=column, trigger_table="measure"))
    assert "one subject could earn two badges" in message


@pytest.mark.parametrize("interval", ["1 month -29 days", "1 mon -28 days", "1 day -23:30"])
def test_an_interval_that_may_be_negative_is_rejected(db, interval):
    """What is not positive in February, or when the clocks change, ends no badge."""
    [(_, message)] = errors_of(entry("brief", condition="true", expires_after=interval))
    assert message.startswith(f'"{interval}" is not positive in every month')


@pytest.mark.parametrize("interval", ["1 month -27 days", "1 hour", "1 day -20:00", "90 days", "1 year -1 month"])
def test_an_interval_that_is_positive(declare, interval):
    """An interval may have negative parts."""
    declare(entry("brief", condition="true", expires_after=interval))
