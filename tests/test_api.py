"""The REST API: what each address answers, to whom, in which language, and at what cost."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from dummy.models import Sketch
from rest_framework import serializers
from rest_framework.pagination import CursorPagination, LimitOffsetPagination
from rest_framework.permissions import IsAdminUser
from rest_framework.test import APIClient
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from badges import exceptions
from badges.api import standing, users, views
from badges.models import Badge

pytestmark = pytest.mark.django_db

COUNT = "count(id) from dummy_sketch where user_id = NEW.user_id"
PAINTER = {
    **{key: value for key, value in entry("painter", progress=COUNT, goal=4).items() if key != "condition"},
    "name": "Painter",
    "description": "Make four sketches.",
    "category": "Drawing",
    "image": "badges/painter.svg",
    "points": 10,
    "translations": {"de": {"name": "Malerin", "description": "Zeichne vier Skizzen."}, "ar": {"name": "رسام"}},
}
FIRST = entry("first", condition="true", category="Drawing", points=1)
SECRET = entry("secret", condition="NEW.title = 'secret'", secret=True, category="Hidden")
EACH = entry("each", condition="NEW.title = 'each'", per="id")
LIST_PATHS = ["", "recent/", "mine/", "users/{key}/", "holders/first/"]


@pytest.fixture
def ada(declare, user):
    """Ada has made one sketch, and so holds one badge."""
    declare(PAINTER, FIRST, SECRET, EACH)
    Sketch.objects.create(user=user, title="x")
    return user


@pytest.fixture
def bob(ada):
    """Bob has a secret."""
    bob = User.objects.create(username="bob")
    Sketch.objects.create(user=bob, title="secret")
    return bob


def get(caller, path, status=200, **headers):
    """What the API answers to a user, or to an anonymous one."""
    client = APIClient()
    if caller:
        client.force_authenticate(caller)
    response = client.get(f"/api/badges/{path}", headers=headers)
    assert response.status_code == status, response.content
    return response.json()


def codes(caller, path):
    return [each.get("badge", each)["code"] for each in get(caller, path)["results"]]


# Each address


def test_list(ada, bob):
    """All badges in their order, with how many hold each, and what each is to the caller."""
    painter, first, each = get(ada, "")["results"]
    assert painter == {
        "code": "painter",
        "name": "Painter",
        "description": "Make four sketches.",
        "category": "Drawing",
        "image": "badges/painter.svg",
        "points": 10,
        "secret": False,
        "active": True,
        "holders": 0,
        "share": 0.0,
        "mine": {
            "held": False,
            "since": None,
            "expires_at": None,
            "times": 0,
            "things": [],
            "progress": {"value": "1", "goal": "4", "share": 0.25},
        },
    }
    assert (first["holders"], first["share"]) == (2, 1.0)
    assert (first["mine"]["held"], first["mine"]["times"], first["mine"]["progress"]) == (True, 1, None)
    assert parse_datetime(first["mine"]["since"]) == Badge.objects.get(user=ada, code="first").awarded_at
    assert each["mine"] == {
        "held": False, "since": None, "expires_at": None, "times": 0, "things": [], "progress": None
    }  # fmt: skip


def test_list_for_nobody(ada):
    """Who is not logged in sees the badges, and no state."""
    assert [(each["code"], each["holders"], each["mine"]) for each in get(None, "")["results"]] == [
        ("painter", 0, None),
        ("first", 1, None),
        ("each", 0, None),
    ]


def test_things(ada, bob):
    """A badge for each thing names the things, newest first, and counts each holder once."""
    sketches = [Sketch.objects.create(user=ada, title="each") for _ in range(3)]
    Sketch.objects.create(user=bob, title="each")
    found = get(ada, "badge/each/")
    assert (found["holders"], found["share"]) == (2, 1.0)
    assert (found["mine"]["held"], found["mine"]["times"]) == (True, 3)
    assert [each["thing"] for each in found["mine"]["things"]] == [str(each.pk) for each in reversed(sketches)]
    assert [each["user"]["username"] for each in get(ada, "holders/each/")["results"]] == ["bob", "ada", "ada", "ada"]


def test_things_are_bounded(ada, monkeypatch):
    """Of many things the newest are shown, and the number of all."""
    monkeypatch.setattr(standing, "THINGS", 2)
    sketches = [Sketch.objects.create(user=ada, title="each") for _ in range(3)]
    mine = get(ada, "badge/each/")["mine"]
    assert (mine["times"], [each["thing"] for each in mine["things"]]) == (
        3,
        [str(sketches[2].pk), str(sketches[1].pk)],
    )


def test_retired_and_paused_badges(ada, declare):
    """A badge that cannot be earned is not listed; its holders still show it, and its page says so."""
    declare({**FIRST, "active": False}, PAINTER)
    assert codes(ada, "") == ["painter"]
    assert codes(ada, "mine/") == ["first"]
    found = get(ada, "badge/first/")
    assert (found["active"], found["mine"]["held"], found["holders"]) == (False, True, 1)
    declare(PAINTER)
    assert codes(ada, "mine/") == codes(ada, "recent/") == ["first"]
    assert get(ada, "badge/first/")["active"] is False


def test_mine(ada, bob):
    """The badges of the caller, and no others; an anonymous caller has none."""
    [found] = get(bob, "mine/?code=secret")["results"]
    held = Badge.objects.get(user=bob, code="secret")
    assert {**found, "since": parse_datetime(found["since"])} == {
        "thing": "",
        "since": held.awarded_at,
        "expires_at": None,
        "badge": {
            "code": "secret",
            "name": "Secret",
            "description": "",
            "category": "Hidden",
            "image": "",
            "points": 0,
            "secret": True,
        },
    }
    assert codes(ada, "mine/") == ["first"]
    get(None, "mine/", 403)


def test_badges_of_a_user(ada, bob):
    """Another's badges, by the key; 404 for a key that no user has, or that is none."""
    assert codes(ada, f"users/{bob.pk}/") == ["first"]
    for key in ("0", "ada", "1.5", "99999999999999999999", "9/9"):
        get(ada, f"users/{key}/", 404)


def test_recent(ada, bob):
    """The newest awards with who earned them; not those that were revoked since, and those that came twice once."""
    assert [(each["user"], each["badge"]["code"]) for each in get(ada, "recent/")["results"]] == [
        ({"key": bob.pk, "username": "bob"}, "first"),
        ({"key": ada.pk, "username": "ada"}, "first"),
    ]
    Badge.objects.revoke(ada, "first")
    Badge.objects.revoke(bob, "first")
    Badge.objects.award(bob, "first")
    assert [each["user"]["username"] for each in get(ada, "recent/")["results"]] == ["bob"]


def test_recent_is_bounded(ada, bob, monkeypatch):
    """Only so many awards are recent, the newest ones."""
    monkeypatch.setattr(standing, "RECENT", 1)
    assert [each["user"]["username"] for each in get(ada, "recent/")["results"]] == ["bob"]


def test_holders(ada, bob):
    """Who holds one badge, newest first; 404 for a badge that there is not."""
    found = get(ada, "holders/first/")["results"]
    assert [(each["user"]["username"], each["thing"]) for each in found] == [("bob", ""), ("ada", "")]
    assert [parse_datetime(each["since"]) for each in found] == list(
        Badge.objects.order_by("-awarded_at").filter(code="first").values_list("awarded_at", flat=True)
    )
    get(ada, "holders/none/", 404)
    get(ada, "badge/none/", 404)


def test_unknown_time_comes_last(ada, bob):
    """A badge of 0.1, which did not record when, has no time and stands behind the others."""
    Badge.objects.filter(user=bob, code="first").update(awarded_at=None)
    assert [each["since"] is None for each in get(ada, "holders/first/")["results"]] == [False, True]
    assert get(bob, "badge/first/")["mine"]["since"] is None


def test_odd_codes(declare, user):
    """Any code that a badge file may have is found by its address."""
    odd = ["a/b", "holders", "mine/", "x y", "ü?&#%", "../up", "a\nb"]
    declare(*(entry(code, condition="true") for code in odd))
    Sketch.objects.create(user=user, title="x")
    client = APIClient()
    client.force_authenticate(user)
    for code in odd:
        assert client.get(reverse("badges_api:badge", args=[code])).json()["code"] == code
        assert client.get(reverse("badges_api:holders", args=[code])).json()["count"] == 1


def test_progress_before_the_first_run(ada, execute):
    """Without the functions of create_badge_triggers there is no progress, and no error."""
    execute("DROP FUNCTION badges_progress")
    assert [each["mine"]["progress"] for each in get(ada, "")["results"]] == [None, None, None]


@pytest.mark.parametrize("number", ["'NaN'::numeric", "'Infinity'::numeric", "NULL::numeric"])
def test_progress_that_is_no_number(declare, user, number):
    """What JSON has no number for is null."""
    declare({**PAINTER, "progress": f"{number} FROM dummy_sketch WHERE user_id = NEW.user_id LIMIT 1"})
    Sketch.objects.create(user=user, title="x")
    assert get(user, "badge/painter/")["mine"]["progress"] == {"value": None, "goal": "4", "share": 0.0}


# Secrets


@pytest.mark.parametrize("path", ["", "recent/", "mine/", "users/{bob}/"])
def test_secret_badges_in_lists(ada, bob, path):
    """A secret badge is in no list of users who lack it or are anonymous; its holders see it, with others too."""
    path = path.format(bob=bob.pk)
    assert "secret" not in codes(ada, path)
    assert get(ada, f"{path}?code=secret")["count"] == 0
    assert get(ada, f"{path}?category=Hidden")["count"] == 0
    assert "secret" in codes(bob, path)
    Badge.objects.award(ada, "secret")
    assert "secret" in codes(ada, path)


def test_secret_badges_elsewhere(ada, bob, settings):
    """For those who lack it a secret badge has no page and no holders: they do not learn that there is one."""
    settings.BADGES_API_OTHERS = "everyone"
    for caller in (ada, None):
        for path in ("badge/secret/", "holders/secret/"):
            assert get(caller, path, 404) == get(caller, path.replace("secret", "none"), 404)
        assert get(caller, "")["count"] == 3
        assert [each["badge"]["code"] for each in get(caller, f"users/{bob.pk}/")["results"]] == ["first"]
        assert "secret" not in codes(caller, "recent/")
    assert get(bob, "badge/secret/")["holders"] == 1
    assert get(bob, "holders/secret/")["count"] == 1


def test_secret_that_has_expired(ada, bob, execute):
    """Who held a secret badge that has ended lacks it."""
    execute("UPDATE badges_badge SET expires_at = now() - interval '1 second' WHERE code = 'secret'")
    get(bob, "badge/secret/", 404)
    assert "secret" not in codes(bob, "")


# Languages and time


@pytest.mark.parametrize(
    ("language", "name", "description"),
    [
        ("de", "Malerin", "Zeichne vier Skizzen."),
        ("de-at", "Malerin", "Zeichne vier Skizzen."),
        ("ar", "رسام", "Make four sketches."),
        ("en", "Painter", "Make four sketches."),
    ],
)
def test_language(ada, settings, language, name, description):
    """Names and descriptions are in the language of the request, wherever a badge is shown."""
    settings.MIDDLEWARE = ["django.middleware.locale.LocaleMiddleware"]
    headers = {"accept-language": language}
    [painter] = get(ada, "?code=painter", **headers)["results"]
    assert (painter["name"], painter["description"]) == (name, description)
    Badge.objects.award(ada, "painter")
    for path in ("mine/", "recent/", f"users/{ada.pk}/"):
        [found] = get(ada, f"{path}?code=painter", **headers)["results"]
        assert (found["badge"]["name"], found["badge"]["description"]) == (name, description)


def test_expired_badges(ada, bob, execute):
    """What has ended has no holder anywhere."""
    execute("UPDATE badges_badge SET expires_at = now() - interval '1 second' WHERE user_id = %s", [ada.pk])
    first = get(ada, "badge/first/")
    assert (first["holders"], first["share"], first["mine"]["held"]) == (1, 0.5, False)
    for path in ("mine/", f"users/{ada.pk}/"):
        assert get(ada, path)["count"] == 0
    for path in ("recent/", "holders/first/"):
        assert [each["user"]["username"] for each in get(ada, path)["results"]] == ["bob"]


def test_expiry(declare, user):
    """A badge that will end says when."""
    declare({**FIRST, "expires_after": "1 day"})
    Sketch.objects.create(user=user, title="x")
    ends = Badge.objects.get().expires_at
    assert parse_datetime(get(user, "badge/first/")["mine"]["expires_at"]) == ends
    assert parse_datetime(get(user, "mine/")["results"][0]["expires_at"]) == ends


# Filters, order, pages


def test_filters_of_badges(ada):
    """Badges by category, by codes, by whether the caller holds them."""
    assert codes(ada, "?category=Drawing") == ["painter", "first"]
    assert codes(ada, "?category=") == ["each"]
    assert codes(ada, "?code=first&code=each&code=none") == ["first", "each"]
    assert codes(ada, "?held=true") == ["first"]
    assert codes(ada, "?held=false&category=Drawing") == ["painter"]
    assert (codes(None, "?held=true"), codes(None, "?held=false")) == ([], ["painter", "first", "each"])


@pytest.mark.parametrize("path", ["mine/", "users/{key}/", "recent/", "holders/first/"])
def test_filters_of_awards(ada, path):
    """Awards since a time, by category, by codes."""
    path = path.format(key=ada.pk)
    at = Badge.objects.get(user=ada, code="first").awarded_at
    assert get(ada, f"{path}?since={at.isoformat().replace('+00:00', 'Z')}")["count"] == 1
    assert get(ada, f"{path}?since=2999-01-01T00:00:00Z")["count"] == 0
    if "holders" not in path:
        assert (get(ada, f"{path}?category=Drawing")["count"], get(ada, f"{path}?category=x")["count"]) == (1, 0)
        assert (get(ada, f"{path}?code=first")["count"], get(ada, f"{path}?code=each")["count"]) == (1, 0)


@pytest.mark.parametrize("query", ["held=perhaps", "held=", "code=" + "x" * 101, "category=%00"])
def test_wrong_parameters(ada, query):
    """A value that a parameter cannot have is answered with its name."""
    assert list(get(ada, f"?{query}", 400)) == [query.partition("=")[0]]
    assert list(get(ada, "mine/?since=yesterday", 400)) == ["since"]


def test_order(ada):
    """Any order of those that are named; equal ones are in the order of the file. Other names are rejected."""
    assert codes(ada, "?ordering=-points") == ["painter", "first", "each"]
    assert codes(ada, "?ordering=points") == ["each", "first", "painter"]
    assert codes(ada, "?ordering=category") == ["each", "painter", "first"]
    assert codes(ada, "?ordering=") == codes(ada, "?ordering=,") == ["painter", "first", "each"]
    assert codes(ada, "?ordering=category, -points") == ["each", "painter", "first"]
    for unknown in ("condition", "foo", "points,foo", "--points", "-", "points desc", "%00"):
        assert list(get(ada, f"?ordering={unknown}", 400)) == ["ordering"]
    Sketch.objects.create(user=ada, title="each")
    assert codes(ada, "mine/") == ["each", "first"]
    assert codes(ada, "mine/?ordering=since") == ["first", "each"]


def test_pages(ada, execute):
    """Lists are cut into pages of fifty, where the site says nothing else; each row is on one page."""
    execute("INSERT INTO auth_user (username, password, first_name, last_name, email, is_superuser, is_staff, "
            "is_active, date_joined) SELECT 'u' || n, '', '', '', '', false, false, true, now() "
            "FROM generate_series(1, 119) AS n")  # fmt: skip
    execute("INSERT INTO badges_badge (user_id, code) SELECT id, 'first' FROM auth_user ON CONFLICT DO NOTHING")
    pages = [get(ada, f"holders/first/?page={number}") for number in (1, 2, 3)]
    assert [len(page["results"]) for page in pages] == [50, 50, 20]
    assert {page["count"] for page in pages} == {120}
    assert len({each["user"]["key"] for page in pages for each in page["results"]}) == 120
    assert pages[0]["next"].endswith("/api/badges/holders/first/?page=2")
    for number in ("4", "0", "x", "9" * 30, "0" * 19 + "9" * 30, "1" * 5000):
        get(ada, f"holders/first/?page={number}", 404)


# What the site says


def test_nothing_is_chosen_for_the_site():
    """The views leave authentication, permissions, throttles, renderers and versions to the site's settings."""
    chosen = {"authentication_classes", "permission_classes", "throttle_classes", "renderer_classes"}
    for view in vars(views).values():
        if isinstance(view, type) and issubclass(view, views.BadgesView):
            assert not [each for each in view.__mro__[: view.__mro__.index(APIView)] if chosen & set(vars(each))]


def test_permissions_of_the_site(ada, monkeypatch):
    """Whom the site's permissions keep out sees nothing."""
    monkeypatch.setattr(APIView, "permission_classes", [IsAdminUser])
    for path in (*LIST_PATHS, "badge/first/"):
        get(ada, path.format(key=ada.pk), 403)
    ada.is_staff = True
    for path in (*LIST_PATHS, "badge/first/"):
        get(ada, path.format(key=ada.pk))


def test_throttles_of_the_site(ada, monkeypatch):
    """Who asks too often is sent away."""

    class Twice(SimpleRateThrottle):
        rate = "2/day"

        def get_cache_key(self, request, view):
            return "test_throttles_of_the_site"

    monkeypatch.setattr(APIView, "throttle_classes", [Twice])
    get(ada, "")
    get(ada, "mine/")
    get(ada, "", 429)


class ByCursor(CursorPagination):
    page_size = 1


class ByLimit(LimitOffsetPagination):
    default_limit = 1


@pytest.mark.parametrize("pagination", [ByCursor, ByLimit])
def test_pagination_of_the_site(ada, bob, monkeypatch, pagination):
    """Every list can be read to its end by the pagination of the site."""
    Sketch.objects.create(user=ada, title="each")
    paths = [path.format(key=ada.pk) for path in LIST_PATHS]
    whole = {path: get(ada, path)["results"] for path in paths}
    monkeypatch.setattr(views.BadgesListView, "pagination_class", pagination)
    for path in paths:
        link, found = f"/api/badges/{path}", []
        while link:
            page = get(ada, link.partition("/api/badges/")[2])
            assert len(page["results"]) == 1
            link = page["next"]
            found += page["results"]
        assert found == whole[path]


@pytest.mark.parametrize("path", LIST_PATHS)
def test_numbers_too_large_for_the_pagination_of_the_site(ada, monkeypatch, path):
    """A number that PostgreSQL cannot hold is rejected in every list."""
    monkeypatch.setattr(views.BadgesListView, "pagination_class", ByLimit)
    get(ada, f"{path.format(key=ada.pk)}?limit={'9' * 30}", 400)


def test_settings_at_the_start():
    """A site's REST_FRAMEWORK decides who may ask, how often, and about pages, in a process of its own."""
    script = textwrap.dedent(
        """
        import django
        from django.conf import settings
        settings.configure(
            INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "badges"], SECRET_KEY="x",
            DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "none", "HOST": "127.0.0.1",
                                   "PORT": "1"}},
            ROOT_URLCONF="badges.api.urls", ALLOWED_HOSTS=["*"], USE_TZ=True,
            REST_FRAMEWORK={
                "DEFAULT_AUTHENTICATION_CLASSES": [],
                "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
                "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
                "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
                "PAGE_SIZE": 7,
            },
        )
        django.setup()
        from django.test import Client
        from badges.api import views
        view = views.BadgeList()
        print(Client().get("/").status_code, [each.__name__ for each in view.throttle_classes],
              type(view.paginator).__name__, view.paginator.default_limit)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "403 ['AnonRateThrottle'] LimitOffsetPagination 7\n", done.stderr[-2000:]


@pytest.mark.parametrize(
    ("others", "to_ada", "to_nobody"), [("everyone", 200, 200), ("users", 200, 403), ("nobody", 403, 403)]
)
def test_who_sees_others(ada, bob, settings, others, to_ada, to_nobody):
    """BADGES_API_OTHERS decides who sees who holds badges; users always see their own, and all see how many."""
    settings.BADGES_API_OTHERS = others
    for path in (f"users/{bob.pk}/", "recent/", "holders/first/"):
        get(ada, path, to_ada)
        get(None, path, to_nobody)
    get(ada, f"users/{ada.pk}/")
    get(ada, "mine/")
    assert get(None, "badge/first/")["holders"] == 2


def test_wrong_settings(ada, settings):
    """A setting with a value that it cannot have says so."""
    settings.BADGES_API_OTHERS = "friends"
    with pytest.raises(exceptions.InvalidSetting, match=r"BADGES_API_OTHERS is 'friends'; .* is needed"):
        get(ada, "recent/")
    settings.BADGES_API_OTHERS = "users"
    for path, said in (("nowhere.X", "cannot be imported"), ("badges.models.Badge", "no serializer"), (1, "a path")):
        settings.BADGES_API_USER_SERIALIZER = path
        with pytest.raises(exceptions.InvalidSetting, match=f"BADGES_API_USER_SERIALIZER .*{said}"):
            get(ada, "recent/")


class Initial(serializers.Serializer):
    initial = serializers.SerializerMethodField()

    def get_initial(self, user):
        return user.username[0]


def test_serializer_of_the_site(ada, settings):
    """How users are shown is up to the site."""
    settings.BADGES_API_USER_SERIALIZER = "test_api.Initial"
    assert get(ada, "holders/first/")["results"][0]["user"] == {"initial": "a"}
    assert get(ada, "recent/")["results"][0]["user"] == {"initial": "a"}


def test_username_that_is_an_address(ada, monkeypatch):
    """Where people log in with their e-mail address, others do not see it."""
    monkeypatch.setattr(User, "EMAIL_FIELD", "username")
    assert users.BadgeUserSerializer(ada).data == {"key": ada.pk}


# Cost


@pytest.mark.parametrize("path", LIST_PATHS)
def test_queries(declare, user, path):
    """A list of fifty costs as many queries as a list of one."""

    def cost(number):
        kinds = {0: {}, 1: {"secret": True}, 2: {"per": "id"}}
        declare(FIRST, *(entry(f"b{n}", condition="true", **kinds[n % 3]) for n in range(number - 1)), PAINTER)
        ids = [User.objects.create(username=f"{number}.{n}").pk for n in range(number)]
        Sketch.objects.bulk_create(Sketch(user_id=each, title="x") for each in (user.pk, *ids))
        asked = path.format(key=user.pk)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            found = get(user, asked)["results"]
        return len(found), len(queries)

    [few, cost_of_few], [many, cost_of_many] = cost(1), cost(50)
    assert few < 5
    assert many == 50
    assert cost_of_few == cost_of_many <= 10


# Without the extra


def test_extra_is_optional():
    """Without Django REST framework and drf-spectacular the package works, whole but for the API."""
    script = textwrap.dedent(
        """
        import pkgutil, importlib, sys
        sys.modules["rest_framework"] = sys.modules["drf_spectacular"] = None
        import django
        from django.conf import settings
        settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "badges"])
        django.setup()
        import badges
        names = [each.name for each in pkgutil.walk_packages(badges.__path__, "badges.", onerror=lambda name: None)]
        for name in names:
            # The admin is for sites that have Django's.
            if not name.startswith(("badges.api.", "badges.admin")):
                importlib.import_module(name)
        try:
            import badges.api.urls
        except ImportError as error:
            print(len(names) > 40, error.name)
        """
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "True rest_framework\n", done.stderr[-2000:]
