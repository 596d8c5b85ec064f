"""The models as sites use them: reading, renaming, dumping, flushing, deleting."""

from __future__ import annotations

import copy
import json

import pytest
from asgiref.sync import async_to_sync
from conftest import entry
from django.contrib.auth.models import AnonymousUser, User
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, ProtectedError
from django.db.models.signals import post_delete, pre_delete
from django.template import Context, Template
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from django.utils.functional import SimpleLazyObject, lazystr
from dummy.models import Sketch

from badges import exceptions
from badges.models import Badge, BadgeDefinition, BadgeEvent, Delivery

pytestmark = pytest.mark.django_db

FIRST = entry("first", condition="NEW.hit_views >= 0", name="First sketch")


@pytest.fixture
def badge(declare, user):
    """A badge that PostgreSQL awarded."""
    declare(FIRST)
    Sketch.objects.create(user=user, title="Sketch")
    return Badge.objects.get()


def test_queries_of_0_1(badge, user):
    """Code that sites wrote for 0.1 still works."""
    assert Badge.objects.filter(user=user, code="first").exists()
    assert list(Badge.objects.values("user", "code", "name")) == [
        {"user": user.pk, "code": "first", "name": "First sketch"}
    ]
    assert list(Badge.objects.filter(name="First sketch").order_by("name", "code")) == [badge]
    assert list(Badge.objects.filter(code__in=["first"], user__username="ada")) == [badge]
    assert (badge.code, badge.name, str(badge)) == ("first", "First sketch", "First sketch")


def test_badges_of_a_user(badge, user):
    """user.badges gives the user's badges and no others, with their names."""
    other = User.objects.create(username="bob")
    assert [each.name for each in user.badges.all()] == ["First sketch"]
    assert user.badges.filter(code="first").count() == 1
    assert not other.badges.exists()
    assert [len(each.badges.all()) for each in User.objects.prefetch_related("badges").order_by("pk")] == [1, 0]


def test_name_comes_along(badge, django_assert_num_queries):
    """A list of badges costs one query, names and codes included."""
    with django_assert_num_queries(1):
        assert [(each.code, each.name) for each in Badge.objects.all()] == [("first", "First sketch")]


@pytest.mark.parametrize(
    "query",
    [
        Badge.objects.all(),
        Badge._base_manager.all(),
        Badge.objects.only("id"),
        Badge.objects.defer("definition"),
        Badge.objects.select_related("definition", "user"),
        Badge.objects.raw("SELECT * FROM badges_badge"),
    ],
    ids=["all", "base manager", "only", "defer", "select_related", "raw"],
)
def test_name_however_a_badge_is_read(badge, query):
    """Whatever query it comes from, a badge has its code, its name, and the name as text."""
    [found] = copy.deepcopy(query)
    assert (found.code, found.name, str(found)) == ("first", "First sketch", "First sketch")


@pytest.mark.parametrize("by", ["code", "definition"])
def test_name_of_a_badge_just_made(badge, by):
    """A badge that Python awards has its code and name as soon as it is made."""
    made = Badge.objects.create(user=User.objects.create(username="bob"), **{by: getattr(badge, by)})
    assert (made.code, made.name, str(made)) == ("first", "First sketch", "First sketch")
    assert list(badge.definition.badges.values_list("user__username", flat=True).order_by("user")) == ["ada", "bob"]


def test_badge_made_by_hand_is_whole(badge):
    """create() gives a key and a time, which the database makes."""
    made = Badge.objects.create(user=User.objects.create(username="bob"), code="first")
    made.refresh_from_db()
    assert made.id != badge.id
    assert made.awarded_at is not None
    assert made.evidence is None


def test_renamed_badge(badge, declare, user):
    """A new name shows at once everywhere, also on an object that is read again."""
    assert badge.name == "First sketch"
    declare({**FIRST, "name": "Beginner"})
    badge.refresh_from_db()
    assert badge.name == "Beginner"
    assert [each.name for each in user.badges.all()] == ["Beginner"]
    assert list(Badge.objects.values_list("name", flat=True)) == ["Beginner"]
    assert BadgeDefinition.objects.get().name == "Beginner"


def test_rows_written_by_sql_alone(badge, execute, user):
    """SQL that knows only user and code writes a whole row."""
    BadgeDefinition.objects.create(code="handmade", name="Handmade", trigger_condition=["insert"])
    execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'handmade')", [user.pk])
    made = Badge.objects.get(code="handmade")
    assert made.name == "Handmade"
    assert None not in (made.id, made.awarded_at)


def test_badge_without_a_definition(badge, execute, user):
    """A code without a definition cannot be awarded manually."""
    with pytest.raises(IntegrityError), transaction.atomic():
        execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'unheard-of')", [user.pk])
    assert Badge.objects.count() == 1


def test_definitions_mirror_the_file(declare):
    """Every key of the file can be read in the database; what leaves the file is retired, and can come back."""
    full = {
        **FIRST, "description": "Drew.", "category": "Drawing", "image": "a.svg", "points": 3, "position": 9,
        "secret": True, "trigger_condition": ["update", "insert"], "translations": {"de": {"name": "Erste"}},
        "per": "id", "revocable": True, "active": False, "expires_after": "1 year",
    }  # fmt: skip
    declare(full, entry("plain"))
    rows = {row.pop("code"): row for row in BadgeDefinition.objects.values()}
    assert rows["first"] == {
        "name": "First sketch", "description": "Drew.", "category": "Drawing", "image": "a.svg", "points": 3,
        "position": 9, "secret": True, "condition": "NEW.hit_views >= 0", "trigger_condition": ["insert", "update"],
        "trigger_table": "dummy_sketch", "user_field": "user_id", "retired_at": None,
        "translations": {"de": {"name": "Erste"}}, "progress": "", "goal": None, "triggers": [], "per": "id",
        "revocable": True, "active": False, "expires_after": "1 year",
        "time_zone": "", "rule": rows["first"]["rule"],
    }  # fmt: skip
    assert len(rows["first"]["rule"]) == 12
    assert rows["first"]["rule"] != rows["plain"]["rule"]
    optional = ("description", "points", "position", "secret", "translations", "per", "revocable", "active")
    assert [rows["plain"][key] for key in optional] == ["", 0, 2, False, {}, "", False, True]
    declare(entry("plain"))
    assert BadgeDefinition.objects.get(code="first").retired_at is not None
    assert BadgeDefinition.objects.get(code="first").description == "Drew."
    declare(full, entry("plain"))
    assert BadgeDefinition.objects.get(code="first").retired_at is None


def test_definitions_mirror_progress_levels_and_triggers(declare):
    """Each level is a definition with its goal to the digit, in the order of the goals; triggers are those watched."""
    sketches = {"table": "dummy_sketch", "on": "insert", "user_field": "user_id"}
    users = {"table": "auth_user", "on": ["update", "delete"], "user_field": "id"}
    badge = {
        "name": "Views", "progress": "sum(hit_views) from dummy_sketch where user_id = NEW.user_id",
        "triggers": [sketches, users],
        "levels": [{"code": "z", "goal": 0.1}, {"code": "b", "goal": 25, "name": "Famous"}, {"code": "a", "goal": 1e9}],
    }  # fmt: skip
    declare(badge)
    rows = list(BadgeDefinition.objects.all())
    assert [(row.code, row.name, str(row.goal.normalize())) for row in rows] == [
        ("z", "Views", "0.1"), ("b", "Famous", "25"), ("a", "Views", "1E+9")
    ]  # fmt: skip
    assert rows[1].condition == f"(SELECT {badge['progress']}\n) >= 25"
    for row in rows:
        assert (row.progress, row.trigger_table, row.trigger_condition) == (
            badge["progress"], "dummy_sketch", ["insert"]
        )  # fmt: skip
        assert row.triggers == [users]
    assert declare(badge).is_empty


# Languages


TRANSLATED = {
    **FIRST, "description": "Drew.",
    "translations": {"de": {"name": "Erste Skizze"}, "pt-BR": {"name": "Esboço", "description": "Desenhou."},
                     "pt": {"name": "Primeiro"}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "name", "description"),
    [
        ("de", "Erste Skizze", "Drew."),
        ("de-at", "Erste Skizze", "Drew."),
        ("pt-br", "Esboço", "Desenhou."),
        ("pt-ao", "Primeiro", "Drew."),
        ("en", "First sketch", "Drew."),
        (None, "First sketch", "Drew."),
        ("de'", "First sketch", "Drew."),
    ],
)
def test_language_that_is_active(declare, user, language, name, description):
    """Names and descriptions are shown in the active language, or else its base language, or else as they are."""
    declare(TRANSLATED)
    Sketch.objects.create(user=user, title="Sketch")
    with translation.override(language):
        definition = BadgeDefinition.objects.get()
        assert (definition.shown_name, definition.shown_description, str(definition)) == (name, description, name)
        assert Badge.objects.get().name == name
        assert Badge._base_manager.get().name == name
        assert list(user.badges.filter(name=name).order_by("name").values("name")) == [{"name": name}]
        assert list(Badge.objects.values("name").annotate(holders=Count("id"))) == [{"name": name, "holders": 1}]
    assert definition.name == "First sketch"


def test_language_of_a_query_made_earlier(declare, user):
    """A query that was built before a language became active follows it when it is run."""
    declare(TRANSLATED)
    Sketch.objects.create(user=user, title="Sketch")
    names = Badge.objects.values_list("name", flat=True)
    for language, name in {"de": "Erste Skizze", "en": "First sketch"}.items():
        with translation.override(language):
            assert list(names.all()) == [name]


# Badges that end, and of things


@pytest.mark.parametrize(("interval", "is_shown"), [("1 hour", True), ("-1 second", False), (None, True)])
def test_badge_that_expires(badge, user, execute, interval, is_shown):
    """A badge that has expired is hidden wherever badges are read, but for with_expired and the database."""
    execute("UPDATE badges_badge SET expires_at = statement_timestamp() + %s::interval", [interval])
    assert Badge.objects.exists() is is_shown
    assert user.badges.exists() is is_shown
    assert [len(each.badges.all()) for each in User.objects.prefetch_related("badges")] == [is_shown]
    assert badge.definition.badges.exists() is is_shown
    [kept] = Badge.with_expired.all()
    assert (kept, kept.name) == (badge, "First sketch")
    user.delete()
    assert not Badge.with_expired.exists()


def test_unique_by_thing(badge, user):
    """A user holds a badge once for each thing, and one badge without a thing."""
    assert (badge.thing, badge.by_hand, badge.expires_at) == ("", False, None)
    for thing in ("7", "8"):
        Badge.objects.create(user=user, code="first", thing=thing)
        with pytest.raises(IntegrityError), transaction.atomic():
            Badge.objects.create(user=user, code="first", thing=thing)
    assert sorted(Badge.objects.values_list("thing", flat=True)) == ["", "7", "8"]


def test_definition_that_somebody_holds_is_protected(badge):
    """A definition can be deleted only while no user holds its badge, by the ORM and by SQL."""
    with pytest.raises(ProtectedError):
        badge.definition.delete()
    with pytest.raises(IntegrityError), transaction.atomic():
        BadgeDefinition.objects.all()._raw_delete("default")
    badge.delete()
    BadgeDefinition.objects.get().delete()


def test_unique_by_user_and_code(badge, user):
    """A user holds a badge at most once, and others may hold it too."""
    with pytest.raises(IntegrityError), transaction.atomic():
        Badge.objects.create(user=user, code="first")
    assert Badge.objects.get_or_create(user=user, code="first") == (badge, False)
    Badge.objects.create(user=User.objects.create(username="bob"), code="first")


def statements_of_a_deletion(user):
    """What Django sends to the tables of the app."""
    with CaptureQueriesContext(connection) as captured:
        user.delete()
    return [query["sql"].split(" WHERE")[0] for query in captured.captured_queries if "badges_" in query["sql"]]


def test_user_deleted_by_the_orm(badge, user, settings):
    """The ORM deletes a user with sketches and badges; the badges are left to the database, which adds no query."""
    assert statements_of_a_deletion(user) == []
    assert not Badge.with_expired.exists()
    settings.BADGES_SIGNALS = True
    bob = User.objects.create(username="bob")
    Badge.objects.create(user=bob, code="first")
    event = BadgeEvent.objects.filter(user=bob).latest("at")
    Delivery.objects.create(event=event, user=bob, at=event.at)
    assert statements_of_a_deletion(bob) == ['DELETE FROM "badges_delivery"']
    assert not BadgeEvent.objects.exists()
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_receivers_for_deleted_badges(badge, user, signal):
    """A receiver of Django's signals gets each badge that goes with its user, as before."""
    found = []

    def receive(instance, **kwargs):
        found.append(instance.code)

    signal.connect(receive, sender=Badge)
    try:
        assert user.delete()[1]["badges.Badge"] == 1
    finally:
        signal.disconnect(receive, sender=Badge)
    assert found == ["first"]


@pytest.mark.django_db(transaction=True)
def test_flush(committed, held):
    """flush removes users and badges, and the next user earns badges as before."""
    committed(FIRST)
    Sketch.objects.create(user=User.objects.create(username="ada"), title="Sketch")
    call_command("flush", interactive=False, verbosity=0)
    assert not Badge.objects.exists()
    ada = User.objects.create(username="ada")
    Sketch.objects.create(user=ada, title="Sketch")
    assert held(ada) == ["first"]
    assert Badge.objects.get().name == "First sketch"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "apps",
    [["auth.User", "badges", "dummy"], ["badges", "auth.User", "dummy"], ["auth.User", "dummy", "badges"]],
    ids=["users first", "badges first", "badges last"],
)
def test_dump_and_load(committed, tmp_path, apps):
    """What dumpdata writes, loaddata brings back with the triggers on: same badges, same times, none twice."""
    committed(FIRST)
    ada = User.objects.create(username="ada")
    Sketch.objects.create(user=ada, title="Sketch")
    Badge.objects.update(awarded_at="2026-01-01 00:00Z")
    before = list(Badge.objects.values())
    dump = tmp_path / "dump.json"
    call_command("dumpdata", *apps, output=str(dump), verbosity=0)
    assert {each["model"] for each in json.loads(dump.read_text())} >= {"badges.badge", "badges.badgedefinition"}
    call_command("flush", interactive=False, verbosity=0)
    call_command("loaddata", str(dump), verbosity=0)
    assert list(Badge.objects.values()) == before
    assert BadgeDefinition.objects.get().name == "First sketch"


# What the calls take


class Role:
    """A user and a badge in every form that a call takes."""

    USERS = (
        lambda user: user,
        lambda user: user.pk,
        lambda user: str(user.pk),
        lambda user: lazystr(user.pk),
        lambda user: SimpleLazyObject(lambda: user),
    )


@pytest.mark.parametrize("form", Role.USERS)
def test_forms_of_a_user(badge, user, form):
    """A user, or the key of one."""
    given = form(user)
    assert Badge.objects.award(given, "first") == badge
    assert Badge.objects.progress(given) == {}
    assert Badge.objects.revoke(given, "first") is True
    assert Badge.objects.erase(given) > 0


@pytest.mark.parametrize("given", [None, "", "ada", "1\0", -(2**40), 2**70, 1.5j, b"1", [], AnonymousUser(), User()])
def test_no_user(badge, given):
    """What is no user, an anonymous and an unsaved one are rejected with an error of the package."""
    for call in (
        lambda: Badge.objects.award(given, "first"),
        lambda: Badge.objects.revoke(given, "first"),
        lambda: Badge.objects.progress(given),
        lambda: Badge.objects.progress_of([given]),
        lambda: Badge.objects.erase(given),
    ):
        with pytest.raises(exceptions.UnknownUser):
            call()
    for model in (badge, badge.definition):
        with pytest.raises(exceptions.UnknownUser):
            Badge.objects.award(model, "first")


def test_a_user_who_does_not_exist(badge):
    """A key that no user has."""
    with pytest.raises(exceptions.UnknownUser, match="no user with the key 999999"):
        Badge.objects.award(999999, "first")
    with pytest.raises(exceptions.UnknownUser, match="no user with the key 999999"):
        Badge.objects.progress(999999)
    assert Badge.objects.revoke(999999, "first") is False


def test_forms_of_a_badge(badge, user):
    """A code, a definition, or a badge that has it."""
    for given in ("first", lazystr("first"), badge.definition, badge):
        assert Badge.objects.award(user, given) == badge
    for given in (None, 7, b"first", "first\0", "frist", [], "x" * 1000):
        for call in (Badge.objects.award, Badge.objects.revoke):
            with pytest.raises(exceptions.UnknownBadge):
                call(user, given)
    with pytest.raises(exceptions.UnknownBadge, match='Did you mean "first"'):
        Badge.objects.revoke(user, "frist")


def test_subjects_of_awards(declare, user):
    """A subject is one of the user's rows; a badge without subjects is awarded for none."""
    declare(FIRST, entry("each", condition="NEW.hit_views > 5000", per="id"))
    own = Sketch.objects.create(user=user, title="Own")
    other = Sketch.objects.create(user=User.objects.create(username="bob"), title="Other")
    for subject in (own, own.pk, str(own.pk)):
        assert Badge.objects.award(user, "each", subject).thing == str(own.pk)
    for code, subject in (
        ("each", ""), ("each", None), ("each", other), ("each", "nonsense"), ("each", "1\0"), ("each", Sketch()),
        ("each", 2**70), ("first", own), ("first", "1"),
    ):  # fmt: skip
        with pytest.raises(exceptions.UnknownSubject):
            Badge.objects.award(user, code, subject)
    assert Badge.objects.revoke(user, "each", own) is True


def test_calls_of_a_user(badge, user):
    """The manager of user.badges needs no user."""
    assert user.badges.award("first") == user.badges.award(user, "first") == badge
    assert user.badges.progress() == {}
    assert user.badges.revoke(badge.definition) is True
    with pytest.raises(TypeError, match="code"):
        Badge.objects.award(user)


@pytest.mark.django_db(transaction=True)
def test_asynchronous_calls(committed):
    """aaward, arevoke and aprogress are those of the same names."""
    committed(FIRST)
    user = User.objects.create(username="ada")

    async def calls():
        assert (await Badge.objects.aaward(user, "first")).code == "first"
        assert await Badge.objects.aprogress(user) == {}
        assert await user.badges.arevoke("first") is True

    async_to_sync(calls)()


@pytest.mark.parametrize("call", ["award", "revoke", "progress", "erase"])
def test_missing_rights(badge, user, execute, call):
    """A role that may not gets the GRANT that it lacks."""
    execute("CREATE ROLE badges_test_reader")
    execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO badges_test_reader")
    execute("SET LOCAL ROLE badges_test_reader")
    with pytest.raises(exceptions.InsufficientRights, match=f"GRANT EXECUTE ON FUNCTION badges_{call}"):
        getattr(Badge.objects, call)(user, *(["first"] if call in ("award", "revoke") else []))


@pytest.mark.parametrize("user_form", [*Role.USERS, lambda user: None, lambda user: "nonsense", lambda user: object()])
def test_forms_of_a_user_in_templates(badge, user, user_form):
    """A tag takes a key as well, and shows nothing for what is no user or no badge."""
    given = user_form(user)
    text = (
        "{% load badges %}{% user_badges given %}{% badge_progress given %}{% badge given %}{% newest_badges given %}"
    )
    shown = Template(text).render(Context({"given": given, "user": user}))
    assert ("First sketch" in shown.partition("badges-newest")[0]) == (user_form in Role.USERS)
    assert "First sketch" in Template("{% load badges %}{% badge badge %}").render(Context({"badge": badge.definition}))
