"""Rules in Python: what an expression means, how it is found, and that it is a badge like any other."""

from __future__ import annotations

import datetime
import io
import os
import re
import subprocess
import sys
import types
from decimal import Decimal
from pathlib import Path

import pytest
from conftest import entry
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.db.models import Case, Count, Exists, F, Max, OuterRef, Q, Sum, Value, When
from django.db.models.functions import Coalesce, Length, Lower, Now
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual
from django.test import override_settings
from django.test.utils import isolate_apps
from django.utils.translation import gettext_lazy
from dummy.models import Like, Sketch

from badges import definitions, exceptions, rules
from badges.definitions import declarations, django_expressions, python_rules
from badges.definitions.types import TriggerEvent
from badges.facts import analysis
from badges.facts.target import describe_target
from badges.models import Badge, BadgeDefinition
from badges.rules import Aggregated, New, Old, Rule

MINE = Sketch.objects.filter(user=OuterRef("user"))


def rule(code="star", **changes):
    """A rule: by default one for a sketch with many views."""
    keys = {
        "name": code.title(),
        "model": Sketch,
        "on": "update",
        "user_field": "user",
        "condition": Q(hit_views__gt=1000),
    }
    return Rule(code=code, **(keys | changes))


@pytest.fixture
def register(monkeypatch):
    """Register rules as a module would while it is imported."""
    monkeypatch.setattr(python_rules, "_modules", {})

    def run(*declared, module="shop.badges", spec=None):
        caller = {"__name__": module, "__spec__": spec, "register": rules.register, "declared": declared}
        exec("register(*declared)", caller)

    return run


def triggers(*flags):
    call_command("create_badge_triggers", *flags, stdout=(output := io.StringIO()), stderr=io.StringIO())
    return output.getvalue()


@pytest.fixture
def install(db, register):
    """Register these rules and install their triggers; gives what the command said."""

    def run(*declared):
        register(*declared)
        return triggers()

    return run


@pytest.fixture
def errors(db, register):
    """What the command says against these rules."""

    def run(*declared):
        register(*declared)
        with pytest.raises(CommandError) as caught:
            triggers()
        return str(caught.value)

    return run


class Writer:
    """Makes the same writes through the ORM or in plain SQL."""

    def __init__(self, execute, is_sql):
        self.execute = execute
        self.is_sql = is_sql

    def draw(self, user, title="x", hit_views=0):
        if not self.is_sql:
            return Sketch.objects.create(user=user, title=title, hit_views=hit_views).pk
        query = "INSERT INTO dummy_sketch (user_id, title, hit_views) VALUES (%s, %s, %s) RETURNING id"
        return self.execute(query, [user.pk, title, hit_views])[0][0]

    def view(self, pk, hit_views):
        if not self.is_sql:
            sketch = Sketch.objects.get(pk=pk)
            sketch.hit_views = hit_views
            sketch.save()
        else:
            self.execute("UPDATE dummy_sketch SET hit_views = %s WHERE id = %s", [hit_views, pk])

    def erase(self, pk):
        if not self.is_sql:
            Sketch.objects.get(pk=pk).delete()
        else:
            self.execute("DELETE FROM dummy_sketch WHERE id = %s", [pk])


@pytest.fixture(params=["orm", "sql"])
def writer(request, execute):
    return Writer(execute, request.param == "sql")


# What a condition means


@pytest.mark.parametrize(
    "condition",
    [
        Q(hit_views__gt=1000),
        Q(hit_views__gt=1000, title="x") | Q(title="none"),
        ~Q(hit_views__lte=1000),
        GreaterThan(F("hit_views"), 1000),
        GreaterThan(New("hit_views"), Old("hit_views") + 999),
        Q(hit_views__gte=Old("hit_views") + 1000),
        Case(When(hit_views__gt=1000, then=Value(True)), default=Value(False)),
        Q(hit_views__gt=Length(Lower("title")) * 1000),
        Q(hit_views__gt=1000, user__username="ada"),
        Q(hit_views__gt=1000, user__groups=None),
        Exists(
            User.objects.filter(pk=OuterRef("user"), pk__lt=OuterRef("hit_views") * 1_000_000, username__startswith="a")
        )
        & Q(hit_views__gt=1000),
        Sketch.objects.filter(pk=OuterRef("pk"), hit_views__gt=1000),
        Sketch.objects.filter(user=New("user"), hit_views__gt=Old("hit_views") + 1000),
        Aggregated(MINE, Max("hit_views")) > 1000,
        Aggregated(MINE, Sum("hit_views")) >= Decimal("1000.5"),
        "hit_views > 1000",
        "NEW.hit_views > 1000 AND OLD.hit_views < 1000",
    ],
)
def test_condition_about_an_update(install, writer, user, held, condition):
    """Every kind of condition awards at the write that makes it true, and not before."""
    assert "Done: 1 badge" in install(rule(condition=condition))
    assert triggers().startswith("Nothing to do")
    pk = writer.draw(user)
    writer.view(pk, 999)
    assert held(user) == []
    writer.view(pk, 0)
    writer.view(pk, 1001)
    assert held(user) == ["star"]


@pytest.mark.parametrize(
    "condition",
    [
        MINE.values("user").annotate(n=Count("id")).filter(n__gte=3).values("n"),
        Aggregated(MINE, Count("id")) >= 3,
        Aggregated(MINE, Count("id")) > 2.5,
        Aggregated(MINE.distinct().order_by("title"), Count("id", distinct=True)) > 2,
        Aggregated(MINE, Count("id", filter=Q(user=New("user")))) >= 3,
        MINE.order_by("id")[2:3],
        Exists(MINE.exclude(pk=OuterRef("pk"))) & GreaterThanOrEqual(Aggregated(MINE, Count("id")), 3),
        Q(user__in=Sketch.objects.values("user").annotate(n=Count("id")).filter(n__gte=3).values("user")),
        ~Q(user__in=Sketch.objects.values("user").annotate(n=Count("id")).filter(n__lt=3).values("user")),
    ],
)
def test_condition_over_a_users_rows(install, writer, user, held, condition):
    """A condition that counts awards with the third row of the user, regardless of other users' rows."""
    install(rule("collector", on="insert", condition=condition))
    other = get_user_model().objects.create(username="bob")
    for _ in range(2):
        writer.draw(user)
        writer.draw(other)
    assert held(user) == held(other) == []
    writer.draw(user)
    assert (held(user), held(other)) == (["collector"], [])


@pytest.mark.parametrize(
    "condition",
    [
        Q(hit_views__gt=1000),
        Q(hit_views__gt=Value(1000)) & Q(pk=Old("pk")),
        Q(hit_views__gt=1000, user__username="ada"),
        Exists(User.objects.filter(pk=Old("user"), username="ada")) & Q(hit_views__gt=1000),
    ],
)
def test_condition_about_a_delete(install, writer, user, held, condition):
    """After a delete a field is that of the row that is gone, across relations as well."""
    install(rule(on="delete", condition=condition))
    few, many = writer.draw(user, hit_views=10), writer.draw(user, hit_views=2000)
    writer.erase(few)
    assert held(user) == []
    writer.erase(many)
    assert held(user) == ["star"]


def test_aggregate_over_no_rows(install, user, held):
    """Over no rows a count is 0, not unknown."""
    none = Sketch.objects.filter(user=OuterRef("user"), title="none")
    install(rule("none", on="insert", condition=Aggregated(none, Count("id")) <= 0))
    Sketch.objects.create(user=user, title="x")
    assert held(user) == ["none"]


@pytest.mark.parametrize(
    "value",
    [
        "it's",
        'a "quote"',
        "100%",
        "%s %(name)s %% %",
        "$$ $badges$ $1 $body$",
        "back\\slash \\' \\\\",
        "{braces} {0} {}",
        "-- comment /* open",
        "'); DROP TABLE dummy_sketch; --",
        "new\nline\ttab\r",
        "ünïcödé ☃ 😀",
        "_",
    ],
)
@pytest.mark.parametrize("lookup", ["exact", "in", "contains", "istartswith", "regex"])
def test_hostile_text(install, execute, user, held, value, lookup):
    """A text is a value in SQL too, whatever it holds, in every lookup."""
    compared = {"in": ["another", value], "regex": f"^{re.escape(value)}$"}.get(lookup, value)
    install(rule("said", on="insert", condition=Q(**{f"title__{lookup}": compared})))
    assert triggers().startswith("Nothing to do")
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'something else')", [user.pk])
    assert held(user) == []
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, %s)", [user.pk, value])
    assert held(user) == ["said"]


@pytest.mark.parametrize(
    ("model", "condition"),
    [
        (Sketch, Q(created__gt=datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.UTC))),
        (Sketch, Q(created__date__gte=datetime.date(2020, 1, 1))),
        (Sketch, Q(created__gt=Now() - datetime.timedelta(days=2, microseconds=5))),
        (Sketch, Q(created__year__gte=2020)),
        (Sketch, Q(hit_views__in={3, 1, 2, None})),
        (Sketch, Q(hit_views__range=(1, 3))),
        (Sketch, Q(user__in=User.objects.filter(last_login=None))),
        (Sketch, Q(user__isnull=False)),
        (Sketch, ~Q(user=None)),
        (Sketch, GreaterThan(F("hit_views") * Value(Decimal("1.1")), Value(Decimal("2.0")))),
        (Sketch, GreaterThan(models.ExpressionWrapper(F("hit_views") * 1.5, models.FloatField()), Value(-2.5e-9))),
        (Sketch, Q(title=gettext_lazy("drawn"))),
        (Sketch, ~Q(pk__in=[])),
        (Sketch, Q()),
        (User, Q(is_active=True)),
        (User, F("is_active")),
        (User, Q(date_joined__lte=Now())),
        (User, ~Q(pk=None) & Q(last_login=None)),
    ],
)
def test_values_of_other_types(install, db, held, model, condition):
    """Dates, numbers, booleans, NULL, sets and what Django makes of them compile to what they mean."""
    user_field = "pk" if model is User else "user"
    install(rule("typed", model=model, on="insert", user_field=user_field, condition=condition))
    user = User.objects.create(username="ada")
    Sketch.objects.create(user=user, title="drawn", hit_views=2)
    assert held(user) == ["typed"]


def test_condition_that_is_never_true(install, user, held):
    """An empty list after IN is no error, and awards no badge."""
    install(rule("never", on="insert", condition=Q(pk__in=[])))
    Sketch.objects.create(user=user, title="x")
    assert held(user) == []


def test_manager_that_filters_does_not_hide_the_changed_row(install, monkeypatch, user, held):
    """A condition is about the row that changed, also where the model's managers leave it out."""
    monkeypatch.setattr(Sketch._meta, "base_manager", Sketch.objects.none())
    install(rule())
    Sketch.objects.create(user=user, title="x")
    Sketch.objects.all().update(hit_views=2000)
    assert held(user) == ["star"]


def test_row_local_and_cross_row(register, db):
    """A field of the row reads no table, a relation reads the related one, a queryset its own."""
    register(rule("row"), rule("related", condition=Q(user__is_staff=True)), rule("counted", condition=Exists(MINE)))
    analysed = analysis.analyse(connection, describe_target(connection), declarations.load().definitions)
    facts = {each.definition.code: each.facts[TriggerEvent.UPDATE] for each in analysed}
    assert {code: each.tables for code, each in facts.items()} == {
        "row": (),
        "related": ("public.auth_user",),
        "counted": ("public.dummy_sketch",),
    }
    assert facts["row"].new_columns == ("hit_views",)
    assert facts["related"].new_columns == facts["counted"].new_columns == ("user_id",)


# SQL


def compiled(condition, *events, model=Sketch):
    return django_expressions.compile_condition(model, events or (TriggerEvent.UPDATE,), condition).replace(
        '"new"', "new"
    )


def test_compiles_without_a_database():
    """Compiling asks no database: this test has none."""
    assert compiled(Q(hit_views__gt=1000)) == 'new."hit_views" > 1000'
    assert compiled(Q(hit_views__gt=Old("hit_views"))) == 'new."hit_views" > ("old"."hit_views")'
    assert compiled(Q(title="5% off, it's")) == "new.\"title\" = '5% off, it''s'"
    assert compiled(Q()) == "true"
    assert compiled(Q(pk__in=[])) == "false"


def test_same_rule_same_sql():
    """The order of a set differs from process to process; the SQL does not."""
    code = (
        "import django; django.setup()\n"
        "from django.db.models import *\n"
        "from dummy.models import Sketch\n"
        "from badges.definitions.django_expressions import *\n"
        "from badges.definitions.types import TriggerEvent as Event\n"
        "words = {'aa', 'b', 'ccc', 'd', 'é', 'f'}\n"
        "for condition in (Q(title__in=words), Exists(Sketch.objects.filter(title__in=words, user=OuterRef('user'))),\n"
        "                  Aggregated(Sketch.objects.all(), Count('id', filter=Q(title__in=words))) > 1):\n"
        "    print(compile_condition(Sketch, [Event.INSERT], condition))\n"
    )
    folder = Path(__file__).parent
    outputs = set()
    for seed in ("1", "2", "3"):
        path = os.pathsep.join(str(folder.parent / name) for name in ("tests", "example", "src"))
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": path, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) == 3


def test_progress_is_a_value():
    """Where a number is wanted, an expression gives one."""
    value = django_expressions.compile_value(Sketch, [TriggerEvent.INSERT], Aggregated(MINE, Count("id")))
    assert value.startswith("(SELECT COUNT(")
    assert (
        django_expressions.compile_value(Sketch, [TriggerEvent.INSERT], F("hit_views")).replace('"new"', "new")
        == 'new."hit_views"'
    )
    assert "auth_user" in django_expressions.compile_value(Sketch, [TriggerEvent.INSERT], F("user__username"))


# Errors


REJECTED = "condition: Django cannot compile it: "


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"condition": Q(hit_viewz__gt=1000)},
            (
                f"{REJECTED}Cannot resolve keyword 'hit_viewz' into field. Choices are: created, "
                'hit_views, id, likes, title, user, user_id.\n    Did you mean "hit_views"?'
            ),
        ),
        (
            {"condition": F("hit_views")},
            "condition: the condition gives integer; a badge needs true or false.\n    Compare it with something.",
        ),
        (
            {"condition": Length("title")},
            (
                f"{REJECTED}TypeError: Cannot filter against a non-conditional expression.\n"
                "    One value, true or false, is needed: compare it with something."
            ),
        ),
        (
            {"condition": GreaterThan(Count("id"), 5)},
            (
                f"{REJECTED}the condition aggregates outside of a queryset, so it sees only the changed "
                'row.\n    Say which rows: Aggregated(Model.objects.filter(user=OuterRef("user")), Count("id")) >= 5'
            ),
        ),
        (
            {"condition": Q(pk=OuterRef("pk"))},
            (
                f"{REJECTED}ValueError: This queryset contains a reference to an outer query and "
                "may only be used in a subquery.\n"
                '    Use OuterRef only in a queryset. Elsewhere F("field") is the field of the changed row.'
            ),
        ),
        (
            {"condition": Q(hit_views__gt=Old("hit_views")), "on": ["insert", "update"]},
            (
                f'{REJECTED}Old("hit_views"): OLD does not exist for insert and update.\n'
                "    Use New, or check the badge after another kind of write."
            ),
        ),
        (
            {"condition": Q(hit_views__gt=New("hit_views")), "on": "delete"},
            (
                f'{REJECTED}New("hit_views"): NEW does not exist for delete.\n'
                "    Use Old, or check the badge after another kind of write."
            ),
        ),
        (
            {"condition": Q(hit_views__gt=5), "on": ["insert", "delete"]},
            (
                f"{REJECTED}a field is that of NEW after an insert or an update, and of OLD after a delete.\n"
                "    Check the badge after one kind of write, or write the condition as SQL with bare columns."
            ),
        ),
        (
            {"condition": Q(hit_views=Old("user__id"))},
            f"{REJECTED}FieldDoesNotExist: Sketch has no field named 'user__id'.",
        ),
        (
            {"condition": Q(title="nul\0")},
            f"{REJECTED}DataError: PostgreSQL text fields cannot contain NUL (0x00) bytes.",
        ),
        (
            {"condition": Q(hit_views="many")},
            f"{REJECTED}ValueError: Field 'hit_views' expected a number but got 'many'.",
        ),
        (
            {"condition": Q(hit_views__gt=models.Func(function="random"))},
            (
                "condition: the condition calls random(); volatile functions may change data or their answer.\n"
                "    Use now() for the time; declare a function of your own STABLE if it only reads."
            ),
        ),
        ({"condition": True}, 'condition: a string is needed; found true.\n    Put strings between double quotes (").'),
        (
            {"condition": object()},
            "condition: found object, which badge.json cannot hold.\n    See the keys of badge.json.",
        ),
        ({"condition": "hit_viewz > 5"}, 'condition: column "hit_viewz" does not exist'),
        (
            {"model": None, "trigger_table": "dummy_sketch", "user_field": "user_id"},
            "condition: an expression needs a model.\n    Name the model: model=Sketch.",
        ),
        (
            {"model": "dummy.Sketc"},
            "model: App 'dummy' doesn't have a 'Sketc' model.\n    Write it as \"shop.Order\", or pass the class.",
        ),
        (
            {"model": models.Model},
            "model: a model with a table is needed; found <class 'django.db.models.base.Model'>.",
        ),
        ({"trigger_table": "dummy_sketch"}, 'model: "model" and "trigger_table" say the same.\n    Keep one of them.'),
        ({"on": "updates"}, 'trigger_condition: found the string "updates".\n    Did you mean "update"?'),
        (
            {"user_field": "users"},
            'user_field: public.dummy_sketch has no column "users".\n    Did you mean "user_id"?',
        ),
        ({"points": "ten"}, 'points: a whole number is needed; found the string "ten".'),
        ({"colour": "red"}, "colour: there is no such key."),
        ({"positon": 3}, 'positon: there is no such key.\n    Did you mean "position"?'),
        ({"name": ""}, "name: the string is empty."),
    ],
)
def test_error(errors, database_unchanged, changes, expected):
    """An error names the module, the badge and the key, says what was found, and nothing is changed."""
    with database_unchanged():
        message = errors(rule(**changes))
    assert message.startswith("shop/badges.py has 1 error; nothing was changed.\n")
    assert f'\nbadge "star" in shop/badges.py, {expected}' in message


def test_rule_without_a_code(errors):
    """A rule that cannot be named by its code is named by its place in the module."""
    message = errors(rule("first"), Rule(name="Star", model=Sketch, on="update", user_field="user", condition="true"))
    assert 'badge 2 in shop/badges.py: the key "code" is missing.' in message


def test_all_errors_at_once(errors, badge_file):
    """The errors of file and rules come in one report: Django's, the parser's and PostgreSQL's, in their order."""
    path = badge_file(entry("a", condition="nothing"), entry("b", points="1"))
    message = errors(rule("c", condition=Q(none=1)), rule("d", secret=1), rule("e", condition="nothing"))
    assert message.splitlines()[0] == f"{path} + shop/badges.py has 5 errors; nothing was changed."
    places = [line.split(",")[0] for line in message.splitlines() if line.startswith("badge ")]
    assert places == ['badge "a"', 'badge "b"', *(f'badge "{code}" in shop/badges.py' for code in "cde")]


def test_all_errors_of_one_rule_at_once(errors):
    """Each part of a Q that Django cannot compile is an error of its own, and so is each other key."""
    condition = Q(hit_viewz__gt=5) & (~Q(titel="x") | Q(hit_views="many")) & Q(hit_views__gt=1)
    message = errors(rule(condition=condition, user_field="users", per="idd", colour="red"))
    assert message.startswith("shop/badges.py has 6 errors; nothing was changed.\n")
    for said in (
        "condition, hit_viewz__gt: Django cannot compile it: Cannot resolve keyword 'hit_viewz' into field.",
        "condition, titel: Django cannot compile it: Cannot resolve keyword 'titel' into field.",
        "condition, hit_views: Django cannot compile it: ValueError: Field 'hit_views' expected a number",
        'user_field: public.dummy_sketch has no column "users".',
        'per: public.dummy_sketch has no column "idd".',
        "colour: there is no such key.",
    ):
        assert f'\nbadge "star" in shop/badges.py, {said}' in message


ONE = Sketch.objects.filter(user=OuterRef("usr"), title=OuterRef("title"), hit_views__gt=OuterRef("hits"))


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"condition": Q(hitz__gt=F("viewz"))}, ["hitz__gt", "hitz__gt, F(viewz)"]),
        ({"condition": Q(id__range=(F("low"), F("high")))}, ["id__range, F(low)", "id__range, F(high)"]),
        ({"condition": Q(id__gt=F("a") + F("hit_views") * F("b"))}, ["id__gt, F(a)", "id__gt, F(b)"]),
        ({"condition": GreaterThan(New("a"), Old("b"))}, ["New(a)", "Old(b)"]),
        ({"condition": GreaterThan(Old("hit_views"), New("b")), "on": "insert"}, ["Old(hit_views)", "New(b)"]),
        # Django sorts what a filter is given.
        ({"condition": ONE}, ["OuterRef(hits)", "OuterRef(usr)"]),
        ({"condition": Q(titel="x") & Exists(ONE)}, ["titel", "Exists, OuterRef(hits)", "Exists, OuterRef(usr)"]),
        ({"condition": Q(titel=1) | Q(titel=2) | Q(titel=1)}, ["titel"]),
        ({"condition": Q(hit_views="one") | Q(hit_views="two")}, ["hit_views", "hit_views"]),
        ({"condition": Aggregated(ONE, Count("id")) >= F("goal")}, ["OuterRef(hits)", "OuterRef(usr)", "F(goal)"]),
        (
            {"condition": Q(hit_views__gt=Case(When(titel="x", then=F("a")), default=F("hit_views")))},
            ["hit_views__gt, titel", "hit_views__gt, F(a)"],
        ),
        ({"condition": None, "progress": Coalesce(F("a"), F("hit_views"), F("b")), "goal": 5}, ["F(a)", "F(b)"]),
    ],
)  # fmt: skip
def test_all_errors_of_one_expression(errors, changes, places):
    """Each part of an expression that Django cannot compile is an error with its place; what it can compile is none."""
    found = re.findall(r"^badge .*?, (?:condition|progress)(?:, )?(.*?): Django cannot", errors(rule(**changes)), re.M)
    assert found == (places if len(places) > 1 else [""])


def test_queryset_within_a_queryset(errors):
    """What refers to a queryset around is no field of the changed row, so that only the real error is reported."""
    inner = Like.objects.filter(sketch=OuterRef("pk"), user__username=OuterRef("user__username"))
    message = errors(rule(condition=Sketch.objects.filter(Exists(inner), user=OuterRef("usr"))))
    assert message.count("Django cannot compile it") == 1
    assert "'usr'" in message


def test_fields_that_are_no_names(register, errors):
    """A field of the model stands for its name; anything else that names a field is one error, and no other follows."""
    first = {"table": Sketch, "on": "insert", "user_field": Sketch.user}
    register(
        rule(user_field=Sketch.user, per=Sketch.id),
        rule("field", user_field=Sketch._meta.get_field("user")),
        Rule(code="x", name="X", condition="true", triggers=[first]),
    )
    assert [(each.user_field, each.per) for each in declarations.load().definitions] == [
        ("user_id", "id"),
        ("user_id", ""),
        ("user_id", ""),
    ]
    register(spec=object())
    message = errors(
        rule("a", user_field=User.email), rule("b", user_field=Sketch.likes), rule("c", per=object(), colour="red")
    )
    assert message.startswith("shop/badges.py has 4 errors; nothing was changed.\n")
    for said in (
        (
            'badge "a" in shop/badges.py, user_field: User.email is no field of Sketch.\n'
            '    Name the field that holds the user: user_field="user".'
        ),
        (
            'badge "b" in shop/badges.py, user_field: found ReverseManyToOneDescriptor, which badge.json cannot hold.\n'
            '    Name the field that holds the user: user_field="user".'
        ),
        (
            'badge "c" in shop/badges.py, per: found object, which badge.json cannot hold.\n'
            '    Name the field of the subject: per="post".'
        ),
        'badge "c" in shop/badges.py, colour: there is no such key.',
    ):
        assert said in message


def test_code_in_the_file_and_in_python(errors, badge_file):
    """A code that both use is an error that names both."""
    badge_file(entry("star"))
    assert (
        'badge "star" in shop/badges.py, code: the code is used twice, in the file and in shop/badges.py.\n'
        "    Give each badge a code of its own."
    ) in errors(rule())


def test_code_in_two_modules(register, errors):
    """So is one that two apps use, and one that stands twice in one module."""
    register(rule("star"), module="gallery.badges")
    message = errors(rule("star"), rule("again"), rule("again"))
    assert "the code is used twice, in gallery/badges.py and in shop/badges.py." in message
    assert "the code is used twice, by badge 2 and by badge 3 of shop/badges.py." in message


def test_without_a_postgresql_database(register, monkeypatch):
    """Where there is no PostgreSQL to compile for, that is what is said."""
    register(rule())
    for each in django_expressions.connections.all():
        monkeypatch.setattr(each, "vendor", "sqlite")
    with pytest.raises(exceptions.InvalidDefinitions, match="DATABASES names no PostgreSQL database"):
        declarations.load()


# Where rules come from


def test_file_first_then_the_apps_in_their_order(register, badge_file):
    """Badges are listed in the order of the file, then of INSTALLED_APPS, unless they have a position."""
    badge_file(entry("a"), entry("b", position=40))
    register(rule("e"), rule("f", position=3), module="elsewhere")
    register(rule("d"), module="dummy.badges")
    register(rule("c"), module="django.contrib.auth.badges")
    declared = declarations.load()
    assert [(each.code, each.position) for each in declared.definitions] == [
        ("a", 1), ("b", 40), ("c", 3), ("d", 4), ("e", 5), ("f", 3)
    ]  # fmt: skip
    assert declared.source.endswith("badge.json + django/contrib/auth/badges.py + dummy/badges.py + elsewhere.py")


def test_rules_are_a_definition_like_any_other(register):
    """All keys of badge.json may be given, with Django's texts, models and column names."""
    register(
        Rule(
            code="star", name=gettext_lazy("Star"), condition="hit_views > 1000",
            trigger_condition=("Update", "INSERT"), trigger_table="dummy_sketch", user_field="user_id",
            description="d", category="c", image="i", points=5, position=-2, secret=True,
        ),
        rule("model", model="dummy.Sketch", user_field="user"),
        rule("key", model=User, user_field="pk", condition="true"),
    )  # fmt: skip
    star, model, key = declarations.load().definitions
    source = definitions.Source("shop/badges.py")
    assert star == definitions.Definition(
        code="star", name="Star", condition="hit_views > 1000", events=(TriggerEvent.INSERT, TriggerEvent.UPDATE),
        trigger_table="dummy_sketch", user_field="user_id", description="d", category="c",
            image="i", points=5,
        position=-2, secret=True, number=1, source=source,
    )  # fmt: skip
    assert (model.trigger_table, model.user_field) == ("dummy_sketch", "user_id")
    assert (key.trigger_table, key.user_field) == ("auth_user", "id")


def test_module_that_is_imported_again(register):
    """A second import of a module takes the place of the first; a second call in one import adds to it."""
    first, second = object(), object()
    register(rule("old"), rule("both"), spec=first)
    register(rule("more"), spec=first)
    assert [each.code for each in declarations.load().definitions] == ["old", "both", "more"]
    register(rule("both"), rule("new"), spec=second)
    assert [each.code for each in declarations.load().definitions] == ["both", "new"]


def test_register_takes_rules_alone(register):
    """Any other class is reported where it is registered."""
    with pytest.raises(TypeError, match=r"register takes rules; found \{'code': 'star'\}"):
        register({"code": "star"})


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Make an app with this badges.py."""
    made = []

    def make(name, text):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        if text is not None:
            (folder / "badges.py").write_text(text)
        made.append(name)

    monkeypatch.syspath_prepend(tmp_path)
    yield make
    for name in made:
        for module in (name, f"{name}.badges"):
            sys.modules.pop(module, None)


SHOP = """
from badges.rules import Rule, register
from django.db.models import Q
from dummy.models import Sketch

register(Rule(code="shop", name="Shop", model=Sketch, on="insert", user_field="user", condition=Q(title="shop")))
"""


def test_autodiscover(register, app, settings, user, held):
    """The badges.py of an installed app is found by itself; an app without one, and ours, are none."""
    app("badge_shop", SHOP)
    app("badge_none", None)
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "badge_none", "badge_shop"]):
        assert triggers().startswith("  add definition shop") or "Done: 1 badge" in triggers()
        Sketch.objects.create(user=user, title="shop")
        assert held(user) == ["shop"]
        assert python_rules.modules() == ["badge_shop.badges"]
        rules.autodiscover()
        assert [each.code for each in declarations.load().definitions] == ["shop"]


def test_autodiscover_leaves_our_own_app_alone(register, monkeypatch):
    """The package is called like the modules that are looked for, and has none."""
    monkeypatch.setattr(python_rules, "module_has_submodule", lambda module, name: module.__name__ == "badges")
    rules.autodiscover()
    assert "badges" in [each.name for each in apps.get_app_configs()]
    assert python_rules.modules() == []


def test_autodiscover_raises_what_a_module_raises(register, app, settings):
    """A broken badges.py is reported at once, as a broken admin.py is."""
    app("badge_broken", "import nothing_of_this_name")
    with (
        pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"),
        override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "badge_broken"]),
    ):
        pass


# Commands and checks


def test_mixed_with_a_file(install, badge_file, user, held):
    """Badges of the file and of Python are awarded side by side, on one trigger for each table and event."""
    badge_file(entry("collector", condition="count(id) >= 2 from dummy_sketch where user_id = NEW.user_id"))
    output = install(rule("first", on="insert", condition=Q(title="first")), rule())
    assert "Done: 3 badges on 2 triggers" in output
    assert "badge.json + shop/badges.py" in output
    Sketch.objects.create(user=user, title="first")
    assert held(user) == ["first"]
    Sketch.objects.create(user=user, title="second")
    assert held(user) == ["collector", "first"]
    assert list(BadgeDefinition.objects.order_by("position").values_list("code", "position")) == [
        ("collector", 1),
        ("first", 2),
        ("star", 3),
    ]


def test_file_option_names_the_file_alone(install, badge_file, tmp_path):
    """--file PATH takes the place of BADGES_FILE; rules in Python count in any case."""
    badge_file(entry("collector"))
    other = badge_file(entry("other")).rename(tmp_path / "other.json")
    badge_file(entry("collector"))
    install(rule())
    assert set(BadgeDefinition.objects.values_list("code", flat=True)) == {"collector", "star"}
    plan = triggers("--plan", "--file", str(other))
    assert "other" in plan
    assert "star" not in [word for each in plan.splitlines() if "definition" in each for word in each.split()]


def test_changed_rule_is_a_changed_definition(install, register, user, held):
    """A rule that was changed is a step of the plan; one that went retires its badge."""
    install(rule())
    assert triggers("--plan").startswith("Nothing to do")
    register(rule(condition=Q(hit_views__gt=10)), spec=object())
    plan = triggers("--plan")
    assert "change definition star" in plan.replace("  ", " ")
    triggers()
    Sketch.objects.create(user=user, title="x")
    Sketch.objects.all().update(hit_views=11)
    assert held(user) == ["star"]
    register(rule("other"), spec=object())
    triggers()
    assert BadgeDefinition.objects.get(code="star").retired_at is not None


def test_backfill_and_award_badges(register, db, user, held):
    """award_badges and --backfill know the rules without any file."""
    Sketch.objects.create(user=user, title="x", hit_views=2000)
    register(rule())
    triggers("--backfill")
    assert held(user) == ["star"]
    Badge.objects.all().delete()
    call_command("award_badges", "star", verbosity=0, stdout=io.StringIO())
    assert held(user) == ["star"]


def found():
    messages = checks.run_checks(databases=["default"])
    return [(each.id, each.msg, each.hint) for each in messages if each.id.startswith("badges.")]


def test_checks(register, db):
    """The system checks judge rules as they do the file: silence, badges.W003, badges.E001."""
    register(rule())
    triggers()
    assert found() == []
    register(rule("other"))
    [(id_, message, _)] = found()
    assert id_ == "badges.W003"
    assert "out of date with shop/badges.py" in message
    triggers()
    assert found() == []
    register(rule(condition=Q(none=1)), spec=object())
    [(id_, message, hint)] = found()
    assert (id_, hint) == ("badges.E001", None)
    assert message.startswith('shop/badges.py: badge "star" in shop/badges.py, condition: Django cannot compile it')


def test_no_rule_and_no_file(register, db):
    """badges.W001 names both ways to declare badges."""
    [(id_, _, hint)] = found()
    assert id_ == "badges.W001"
    assert "BADGES_FILE" in hint
    assert "badges.py" in hint


def test_related_rows_of_several_kinds(install, user, held):
    """A condition across a many-to-many relation asks the table between."""
    install(rule("member", on="insert", condition=Q(user__groups__name="artists")))
    Sketch.objects.create(user=user, title="x")
    assert held(user) == []
    user.groups.add(Group.objects.create(name="artists"))
    Sketch.objects.create(user=user, title="y")
    assert held(user) == ["member"]


# Beyond the example's models


def test_json_lookups(install, user, held):
    """A lookup in a JSON field compares JSON, with the value as it is."""
    hostile = {"it's": ["100%", '"', "\\", None, 1.5, {"a": True}]}
    condition = Q(evidence__table="public.dummy_sketch") & ~Q(evidence__table=hostile) & ~Q(evidence__contains=hostile)
    install(
        rule("first", on="insert", condition=Q()),
        rule("second", model=Badge, on="insert", condition=condition & Q(code="first")),
    )
    Sketch.objects.create(user=user, title="x")
    assert held(user) == ["first", "second"]


@isolate_apps("dummy")
def test_fields_of_a_parent_model():
    """A field that a model inherits is read from the parent's row."""

    class Painting(Sketch):
        size = models.IntegerField()

        class Meta:
            app_label = "dummy"

    assert compiled(Q(size=1), model=Painting) == 'new."size" = 1'
    found = compiled(Q(size=1, hit_views=5), model=Painting)
    assert 'JOIN "dummy_sketch" ON (new."sketch_ptr_id" = "dummy_sketch"."id")' in found


@isolate_apps("dummy")
def test_tables_called_like_the_row():
    """A table that is called new or old is not taken for the changed row."""

    class Newer(models.Model):  # noqa: DJ008
        size = models.IntegerField()

        class Meta:
            app_label = "dummy"
            db_table = "new"

    class Owner(models.Model):  # noqa: DJ008
        newer = models.ForeignKey(Newer, models.CASCADE)

        class Meta:
            app_label = "dummy"
            db_table = "old"

    assert compiled(Q(size=1), model=Newer) == 'new."size" = 1'
    found = django_expressions.compile_condition(Owner, [TriggerEvent.UPDATE], Q(newer__size=1, id=5)).replace(
        '"T2"', "T2"
    )
    assert 'JOIN "new" T2 ON ("new"."newer_id" = T2."id") WHERE ("new"."id" = 5 AND T2."size" = 1)' in found


# The keys of living rules


def test_progress_and_levels(install, writer, user, held):
    """Progress may be an expression; each level is a badge."""
    levels = [{"code": "bronze", "goal": 1, "name": "Bronze"}, {"code": "silver", "goal": 3, "name": gettext_lazy("S")}]
    install(
        Rule(model=Sketch, on="insert", user_field="user", progress=Aggregated(MINE, Count("id")), levels=levels),
        Rule(
            code="half", name="Half", model=Sketch, on="insert", user_field="user", goal=Decimal("2.5"),
            progress=Sketch.objects.filter(user=OuterRef("user")).values("user").annotate(n=Count("id")).values("n"),
        ),
    )  # fmt: skip
    writer.draw(user)
    assert held(user) == ["bronze"]
    writer.draw(user)
    writer.draw(user)
    assert held(user) == ["bronze", "half", "silver"]
    assert triggers("--plan").startswith("Nothing to do")


def test_several_triggers(install, user, held):
    """Triggers may name models and fields; an expression is about the row of the first."""
    active = Aggregated(MINE.filter(user__is_active=True), Count("id")) >= 1
    install(
        Rule(
            code="active",
            name="Active",
            condition=active,
            triggers=[
                {"table": Sketch, "on": ["insert", "update"], "user_field": "user"},
                {"table": User, "on": "update", "user_field": "pk"},
            ],
        )
    )
    User.objects.update(is_active=False)
    Sketch.objects.create(user=user, title="x")
    assert held(user) == []
    User.objects.update(is_active=True)
    Sketch.objects.create(user=user, title="y")
    assert held(user) == ["active"]
    [declared] = declarations.load().definitions
    assert (declared.trigger_table, declared.user_field) == ("dummy_sketch", "user_id")
    assert [watch.as_dict() for watch in declared.watches] == [
        {"table": "auth_user", "on": ["update"], "user_field": "id"}
    ]


def test_expression_without_a_model_among_its_triggers(errors):
    """With triggers that name tables alone, an expression needs the model."""
    message = errors(
        Rule(
            code="x",
            name="X",
            condition=Q(),
            triggers=[{"table": "dummy_sketch", "on": "insert", "user_field": "user_id"}],
        )
    )
    assert 'badge "x" in shop/badges.py, condition: an expression needs a model.' in message


def test_other_keys_in_pythons_words(register):
    """A field for per, a timedelta for an interval, texts by language."""
    register(
        rule(per="id", expires_after=datetime.timedelta(days=30, seconds=5), revocable=True, active=False),
        rule("translated", translations={"de": {"name": gettext_lazy("Stern")}}),
    )
    star, translated = declarations.load().definitions
    assert (star.per, star.revocable, star.active) == ("id", True, False)
    assert star.expires_after == "30 days 5 seconds 0 microseconds"
    assert translated.translations == {"de": {"name": "Stern"}}


def test_errors_of_levels_and_triggers(errors):
    """What is wrong in a level or a trigger names the module as well."""
    message = errors(
        Rule(model=Sketch, on="insert", user_field="user", progress="hit_views", levels=[{"code": "a", "gaol": 1}, 5]),
        Rule(code="b", name="B", condition="true", triggers=[{"table": Sketch, "on": "insert", "user_field": "users"}]),
    )
    assert 'badge "a" in shop/badges.py, gaol: there is no such key.' in message
    assert "badge 1 in shop/badges.py, level 2: a level is an object" in message
    assert 'badge "b" in shop/badges.py, triggers 1, user_field: public.dummy_sketch has no column "users".' in message


# docs/rules-in-python.md


PAGE = (Path(__file__).parent.parent / "docs" / "rules-in-python.md").read_text("utf-8")


def plain(text):
    """SQL without the quotes around Django's aliases, in which its versions differ."""
    return re.sub(r'"(new|old|[TUV]\d)"', r"\1", text)


@pytest.fixture
def shop(monkeypatch, register):
    """The app of the page: its models are those of the example."""
    models_module = types.ModuleType("shop.models")
    models_module.Sketch = Sketch
    monkeypatch.setitem(sys.modules, "shop", types.ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.models", models_module)
    code, _ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

    def run(replaced=()):
        text = code
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        exec(text, {"__name__": "shop.badges", "__spec__": object()})

    return run


def test_shown_rules(shop, user, db, held):
    """The module in the document awards what it says."""
    shop()
    assert "Done: 3 badges on 3 triggers, in sync with shop/badges.py." in triggers()
    for _ in range(4):
        sketch = Sketch.objects.create(user=user, title="x")
    assert held(user) == []
    Sketch.objects.create(user=user, title="x")
    assert held(user) == ["collector"]
    Sketch.objects.filter(pk=sketch.pk).update(hit_views=499)
    assert held(user) == ["collector"]
    Sketch.objects.filter(pk=sketch.pk).update(hit_views=1001)
    assert held(user) == ["collector", "star", "viral"]


def test_shown_sql(shop):
    """The SQL in the document is what the rules compile to."""
    shop()
    conditions_of_page = {plain(each.condition) for each in declarations.load().definitions}
    shown = re.findall(r"```sql\n(.*?)\n```", PAGE, re.DOTALL)
    assert len(shown) == 2
    assert {plain(each) for each in shown} <= conditions_of_page


def test_shown_conditions(install):
    """Each condition of the table is one that PostgreSQL takes."""
    found = re.findall(r"^\| `(.*?)` \| .* \|$", PAGE.partition("## Conditions")[2].partition("\n- ")[0], re.MULTILINE)
    assert len(found) == 8
    assert "Done: 8 badges" in install(
        *(rule(f"badge-{number}", condition=eval(text)) for number, text in enumerate(found))
    )


def test_shown_errors(shop, db):
    """The report in the document is the one for its module with two slips."""
    shop([("hit_views__gt=", "hit_viewz__gt="), ("points", "ponts")])
    with pytest.raises(CommandError) as caught:
        triggers()
    assert f"CommandError: {caught.value}\n```" in PAGE


def test_user_across_relations(install, execute, user, held):
    """A lookup in user_field is a path of columns, whose end expressions know by the same lookup."""
    likes = Like.objects.filter(sketch__user=OuterRef("sketch__user"))
    where = {"model": Like, "on": "insert", "user_field": "sketch__user"}
    _, shown = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    install(
        eval(shown.strip()),
        rule("loved", **where, condition=Aggregated(likes, Count("id")) >= 2),
        rule("own", **where, condition=Q(user=F("sketch__user_id"))),
        rule("mine", **{**where, "on": "update"}, condition=Q(user=New("sketch__user")) & ~Q(artist=Old("artist"))),
        rule("any", **where, condition=likes),
    )
    stored = BadgeDefinition.objects.get(code="loved")
    assert (stored.user_field, "JOIN" in stored.condition) == ("sketch_id__user_id", True)
    assert 'new."sketch_id__user_id"' in stored.condition
    assert "JOIN" not in BadgeDefinition.objects.get(code="own").condition
    fans = [User.objects.create(username=name) for name in ("bob", "cy")]
    sketch = Sketch.objects.create(user=user, title="x")
    like, _ = [Like.objects.create(user=fan, sketch=sketch, artist=fan) for fan in fans]
    assert (held(user), held(fans[0])) == (["any", "loved"], [])
    Like.objects.filter(pk=like.pk).update(user=user, artist=fans[1])
    assert held(user) == ["any", "loved", "mine"]
    Like.objects.create(user=user, sketch=Sketch.objects.create(user=fans[0], title="y"), artist=user)
    Like.objects.create(user=fans[0], sketch=Sketch.objects.get(title="y"), artist=user)
    assert held(fans[0]) == ["any", "loved", "own"]


@isolate_apps("dummy")
def test_user_of_a_parent():
    """An inherited field is in the parent's table, to which the path leads; other lookups are no path."""

    class Post(models.Model):  # noqa: DJ008
        user = models.ForeignKey(User, models.CASCADE, related_name="+")

        class Meta:
            app_label = "dummy"

    class Video(Post):  # noqa: DJ008
        class Meta:
            app_label = "dummy"

    class Cut(models.Model):  # noqa: DJ008
        video = models.ForeignKey(Video, models.CASCADE)
        users = models.ManyToManyField(User, related_name="+")

        class Meta:
            app_label = "dummy"

    paths = {written: python_rules._path(model, written)[0] for model, written in (
        (Post, "user"), (Video, "pk"), (Video, "user"), (Cut, "video__user"), (Cut, "users"), (Cut, "video__slip"),
        (Cut, "id__user"),
    )}  # fmt: skip
    assert paths == {
        "pk": ["post_ptr_id"],
        "user": ["post_ptr_id", "user_id"],
        "video__user": ["video_id", "post_ptr_id", "user_id"],
        "users": ["users"], "video__slip": ["video__slip"], "id__user": ["id__user"],
    }  # fmt: skip
