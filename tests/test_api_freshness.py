"""Cache validation: a client that asks again gets 304 as long as nothing has changed, for a query or two."""

from __future__ import annotations

import psycopg
import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from dummy.models import Sketch
from psycopg.conninfo import make_conninfo
from rest_framework.test import APIClient

from badges.api import freshness
from badges.models import Badge
from badges.queries import remembered

COUNT = "count(id) from dummy_sketch where user_id = NEW.user_id"
PAINTER = {key: value for key, value in entry("painter", progress=COUNT, goal=4).items() if key != "condition"}
FIRST = entry("first", condition="true", translations={"de": {"name": "Erste"}})
PATHS = ["", "badge/first/", "holders/first/", "mine/", "recent/", "users/{ada}/"]


class Caller:
    """A client that sends back the ETag that it was given."""

    def __init__(self, user, path):
        self.client = APIClient()
        if user:
            self.client.force_authenticate(user)
        self.address = f"/api/badges/{path}"
        self.etag = ""

    def ask(self, **headers):
        response = self.client.get(self.address, headers={"if-none-match": self.etag, **headers})
        self.etag = response["ETag"]
        return response.status_code


@pytest.fixture
def ada(committed):
    committed(PAINTER, FIRST)
    cache.clear()
    ada = User.objects.create(username="ada")
    Sketch.objects.create(user=ada, title="x")
    yield ada
    cache.clear()


@pytest.fixture
def bob(ada):
    return User.objects.create(username="bob")


@pytest.fixture
def psql(ada):
    """Another session, without Django."""
    options = connection.settings_dict
    server = {key.lower(): options[key] for key in ("HOST", "PORT", "USER", "PASSWORD") if options[key]}
    with psycopg.connect(make_conninfo(**server, dbname=options["NAME"])) as session:
        yield session


@pytest.fixture
def caller(ada):
    """Ada asks, for one of the addresses."""
    return lambda path: Caller(ada, path.format(ada=ada.pk))


class Callers:
    """Ada asks for all addresses at once, and is asked which were answered anew."""

    def __init__(self, caller):
        self.callers = {path: caller(path) for path in PATHS}
        assert self.anew() == set(PATHS)
        assert self.anew() == set()

    def anew(self, **headers):
        statuses = {path: caller.ask(**headers) for path, caller in self.callers.items()}
        assert set(statuses.values()) <= {200, 304}
        return {path for path, status in statuses.items() if status == 200}


@pytest.fixture
def callers(caller):
    return lambda: Callers(caller)


def test_unchanged(callers):
    """What has not changed is answered with 304, without a body, with the same ETag."""
    for asking in callers().callers.values():
        etag = asking.etag
        assert [asking.ask(), asking.ask(), asking.etag] == [304, 304, etag]
        response = asking.client.get(asking.address, headers={"if-none-match": f'"other", {etag}'})
        assert (response.status_code, response.content) == (304, b"")


def test_award_by_plain_sql(ada, callers, execute):
    """An award that is made through plain SQL is seen at once, and so is its end."""
    execute("DELETE FROM badges_badge")
    asking = callers()
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [ada.pk])
    assert Badge.objects.count() == 1
    assert [asking.anew(), asking.anew()] == [set(PATHS), set()]
    execute("DELETE FROM badges_badge")
    assert [asking.anew(), asking.anew()] == [set(PATHS), set()]


def test_late_commit(ada, callers, psql, execute):
    """An award is seen at its COMMIT, though it was written before one that the client has seen already."""
    execute("DELETE FROM badges_badge")
    psql.execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [ada.pk])
    execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'painter')", [ada.pk])
    asking = callers()
    psql.commit()
    assert [asking.anew(), asking.anew()] == [set(PATHS), set()]


def test_rollback(callers, psql):
    """An award that is rolled back has changed nothing."""
    psql.execute("DELETE FROM badges_badge")
    asking = callers()
    psql.rollback()
    assert asking.anew() == set()


def test_others(bob, callers):
    """An award to another user changes the lists that show others, and not the caller's own badges."""
    asking = callers()
    Sketch.objects.create(user=bob, title="x")
    assert asking.anew() == {"", "badge/first/", "holders/first/", "recent/"}


def test_secret_that_the_caller_earns(ada, bob, caller, committed):
    """A secret badge of another appears when the caller earns it too."""
    committed(PAINTER, FIRST, entry("secret", condition="NEW.title = 'secret'", secret=True))
    Sketch.objects.create(user=bob, title="secret")
    asking = caller(f"users/{bob.pk}/?code=secret")
    assert asking.client.get(asking.address).json()["count"] == 0
    assert [asking.ask(), asking.ask()] == [200, 304]
    Sketch.objects.create(user=ada, title="secret")
    assert asking.ask() == 200
    assert asking.client.get(asking.address).json()["count"] == 1


SECRET = entry("secret", condition="NEW.title = 'secret'", secret=True)
GOAL = {**PAINTER, "code": "goal", "secret": True}


@pytest.mark.parametrize("others", [True, False], ids=["logged in", "anonymous"])
def test_secrets_of_others(ada, bob, committed, settings, others):
    """For callers who do not see a secret badge, no response changes as others earn or lose it, or as it is changed."""
    settings.BADGES_API_OTHERS = "everyone"
    committed(PAINTER, FIRST, SECRET, GOAL)
    paths = ["", "badge/first/", "holders/first/", "recent/", f"users/{bob.pk}/", f"users/{bob.pk}/?code=secret"]
    asking = [Caller(ada if others else None, path) for path in paths]
    assert {each.ask() for each in asking} == {200}

    def anew():
        return {each.address for each in asking if each.ask() == 200}

    Badge.objects.award(bob, "secret")
    assert anew() == set()
    Badge.objects.revoke(bob, "secret")
    Badge.objects.award(bob, "goal")
    committed(PAINTER, FIRST, {**SECRET, "name": "Other"}, GOAL)
    assert anew() == set()
    committed(PAINTER, FIRST, {**SECRET, "secret": False}, GOAL)
    assert anew() == {each.address for each in asking}


def test_secret_that_comes_and_goes(ada, bob, caller, committed):
    """Callers who earn a secret badge see it in all lists at once; those who lose it see it no more."""
    committed(PAINTER, FIRST, SECRET)
    Badge.objects.award(bob, "secret")
    asking = [caller(path) for path in ("", "mine/", "recent/", f"users/{bob.pk}/")]
    for change, is_shown in ((None, False), (Badge.objects.award, True), (Badge.objects.revoke, False)):
        if change:
            change(ada, "secret")
        for each in asking:
            response = each.client.get(each.address, headers={"if-none-match": each.etag})
            each.etag = response["ETag"]
            assert ('"code":"secret"' in response.content.decode()) == is_shown, each.address
            assert each.ask() == 304


def test_progress_towards_a_secret(ada, caller, committed):
    """A step towards a secret badge with a goal changes no response."""
    committed(FIRST, GOAL)
    asking = caller("")
    assert asking.ask() == 200
    Sketch.objects.create(user=ada, title="x")
    assert asking.ask() == 304


def test_progress(ada, callers):
    """A step towards a goal is seen where progress is shown, though no badge comes of it."""
    asking = callers()
    Sketch.objects.create(user=ada, title="x")
    assert [asking.anew(), asking.anew()] == [{"", "badge/first/"}, set()]


def test_definitions(callers, committed):
    """A badge that is renamed is seen at once."""
    asking = callers()
    committed(PAINTER, {**FIRST, "name": "Premiere"})
    assert [asking.anew(), asking.anew()] == [set(PATHS), set()]


def test_who_asks_in_which_language(ada, bob, caller, callers, settings):
    """An ETag is good for one caller, language, address and format; `Vary` names the headers that matter."""
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware"]
    settings.BADGES_API_OTHERS = "everyone"
    mine = callers()
    assert mine.anew(**{"accept-language": "de"}) == set(PATHS)
    assert mine.anew() == set(PATHS)
    for path, asking in mine.callers.items():
        others = [Caller(bob, path.format(ada=ada.pk)), caller(f"{path}?page=1")]
        if path != "mine/":
            others.append(Caller(None, path.format(ada=ada.pk)))
        for other in others:
            other.etag = asking.etag
            assert other.ask() == 200
        response = asking.client.get(asking.address)
        assert set(response["Vary"].split(", ")) == {"Accept", "Accept-Language", "Authorization", "Cookie"}
        assert response["Cache-Control"] == "private, no-cache"


def test_pages_for_browsers(caller, settings):
    """The browsable API shows each list, and its 304 has no body either."""
    backend = "django.template.backends.django.DjangoTemplates"
    settings.TEMPLATES = [{"BACKEND": backend, "APP_DIRS": True}]
    settings.STATIC_URL = "static/"
    for path in PATHS:
        asking = caller(path)
        response = asking.client.get(asking.address, headers={"accept": "text/html"})
        assert response["Content-Type"].startswith("text/html")
        again = {"accept": "text/html", "if-none-match": response["ETag"]}
        response = asking.client.get(asking.address, headers=again)
        assert (response.status_code, response.content) == (304, b"")


def test_refusals(caller, settings):
    """Who may no longer see something does not get 304 for it."""
    asking = caller("recent/")
    assert asking.ask() == 200
    settings.BADGES_API_OTHERS = "nobody"
    response = asking.client.get(asking.address, headers={"if-none-match": asking.etag})
    assert (response.status_code, "ETag" in response) == (403, False)


def test_it_ends_after_a_minute(callers, monkeypatch):
    """What leaves no event, as a user who is renamed, is seen after a minute."""
    asking = callers()
    now = freshness.time.time()
    monkeypatch.setattr(freshness.time, "time", lambda: now + 61)
    assert [asking.anew(), asking.anew()] == [set(PATHS), set()]
    monkeypatch.setattr(freshness.time, "time", lambda: now - 61)
    assert asking.anew() == set(PATHS)


FOREIGN = [
    "*",
    "nonsense",
    'W/"1.2.3"',
    'W/"{now}.1:{large}:{large},.{digest}"',
    'W/"{now}.1:2:,,,.{digest}"',
    'W/"{now}.1:\u0661:.{digest}"',
]


def test_foreign_etags(caller):
    """An ETag that is not ours, or was made up, gives the whole answer."""
    asking = caller("")
    for etag in FOREIGN:
        made_up = etag.format(now=int(freshness.time.time()), large="9" * 18, digest="0" * 32)
        asking.etag = made_up.encode("utf-8").decode("latin-1")
        assert asking.ask() == 200


def test_own_transaction(ada, caller):
    """Within a transaction that has written there is no ETag: what it sees may be rolled back."""
    with transaction.atomic():
        Sketch.objects.create(user=ada, title="x")
        asking = caller("")
        assert "ETag" not in asking.client.get(asking.address)


def test_events_of_another_server(callers, execute):
    """Events that a dump brought along, of transactions that are yet to come here, spoil nothing."""
    execute("SET session_replication_role = replica")
    execute("UPDATE badges_badgeevent SET transaction = transaction + 1000000")
    execute("RESET session_replication_role")
    asking = callers()
    execute("DELETE FROM badges_badge")
    assert asking.anew() == set(PATHS)


def test_an_etag_from_before_a_restore(caller):
    """An ETag whose snapshot is ahead of the database is not valid."""
    asking = caller("")
    asking.ask()
    made, _, digest = asking.etag.split(".")
    asking.etag = f"{made}.{10**9}:{10**9}:.{digest}"
    assert [asking.ask(), asking.ask()] == [200, 304]


def test_cost(callers):
    """A 304 costs one query, and those for progress where it is shown; it does not count holders or read badges."""
    for path, asking in callers().callers.items():
        with CaptureQueriesContext(connection) as queries:
            assert asking.ask() == 304
        asked = [query["sql"] for query in queries if query["sql"] not in ("BEGIN", "COMMIT")]
        # The badges that have a goal, and their progress; whether there is such a user. Badges are read only to know
        # which secret ones the caller holds.
        further = 2 if path in ("", "badge/first/") else 1 if "users" in path else 0
        assert len(asked) == 1 + further
        assert [each.count('"badges_badge"') for each in asked if "pg_current_snapshot" in each] == [1]
        others = [each for each in asked if "pg_current_snapshot" not in each]
        assert all("secret" in each for each in others if '"badges_badge"' in each)


def test_holders_are_counted_once(ada, bob, monkeypatch):
    """Callers share the count of the holders until a badge is awarded or revoked."""
    monkeypatch.setattr(remembered, "FEW_ROWS", 0)

    def counted(user):
        with CaptureQueriesContext(connection) as queries:
            Caller(user, "badge/first/").ask()
        return len([query for query in queries if "unnest" in query["sql"] and '"badges_badge"' in query["sql"]])

    assert [counted(ada), counted(bob), counted(None)] == [1, 0, 0]
    Sketch.objects.create(user=bob, title="x")
    assert [counted(ada), counted(bob)] == [1, 0]
    assert APIClient().get("/api/badges/badge/first/").json()["holders"] == 2
