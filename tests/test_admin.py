"""The badges in Django's admin: lists, search, manual awards and revocations, rights, and what a long list costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from conftest import entry
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core import checks
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from dummy.models import Sketch

from badges.admin import paging
from badges.models import Badge, BadgeEvent, Failure, PendingCheck

pytestmark = pytest.mark.django_db

FIRST = entry("first", condition="NEW.hit_views >= 0", name="First sketch")
STAR = entry("star", condition="NEW.hit_views > 1000", category="Fame")
HIT = entry("hit", condition="NEW.hit_views > 5000", per="id")
PAUSED = entry("paused", active=False)


def url(model, view="changelist", *args):
    return reverse(f"admin:badges_{model}_{view}", args=args)


def text_of(response):
    """What a page says, without its markup."""
    found = re.sub(r"<(script|style).*?</\1>", "", response.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", found).split())


def rows(response):
    """The rows of a list, as objects."""
    return list(response.context["cl"].result_list)


def said(response):
    return [str(message) for message in response.context["messages"]]


@pytest.fixture
def boss(client):
    """Who may do everything, and is logged in."""
    boss = User.objects.create_superuser("boss")
    client.force_login(boss)
    return boss


@pytest.fixture
def staff(client):
    """Log in a member of the staff with these rights."""

    def login(*codenames):
        staff = User.objects.create(username="staff", is_staff=True)
        staff.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(staff)
        return staff

    return login


@pytest.fixture
def site(declare, user):
    """Four badges, of which ada has earned one."""
    declare(FIRST, STAR, HIT, PAUSED)
    Sketch.objects.create(user=user, title="x")
    return user


# Definitions


def test_definitions(site, boss, client):
    """The list shows the status of each badge: state, holders, share, last award, failures, pending checks."""
    Failure.objects.create(code="star", sqlstate="22012", message="division by zero", occurrences=1234)
    PendingCheck.objects.create(bucket=1, user=site, code="star", evidence={})
    page = client.get(url("badgedefinition"))
    first, star = rows(page)[:2]
    assert (first.status.state, first.status.holders, first.status.share) == ("enabled", 1, 0.5)
    assert (star.status.failures, star.status.pending) == (1234, 1)
    text = text_of(page)
    assert f"First sketch first enabled 1 50% {date_format(timezone.localdate(), 'SHORT_DATE_FORMAT')}" in text
    assert "Star star enabled 0 0% - 1,234 1" in text
    assert '<span class="badges-state badges-state-paused">paused</span>' in page.content.decode()
    [link] = re.findall(r'<a href="([^"]+)">1</a>', page.content.decode())
    assert [badge.user for badge in rows(client.get(link))] == [site]


def test_badges_of_a_user(site, boss, staff, client):
    """The page of a user leads to the badges of that user alone, for those who may see them."""
    other = User.objects.create(username="other")
    Badge.objects.award(other, "first")
    address = reverse("admin:auth_user_change", args=[site.pk])
    [link] = re.findall(r'<a href="([^"]+)">Badges</a></li>', client.get(address).content.decode())
    assert [badge.user for badge in rows(client.get(link))] == [site]
    staff("view_user")
    assert "Badges</a></li>" not in client.get(address).content.decode()


def test_definition(site, boss, client):
    """A definition shows its rule, what is wrong with its triggers, and its awards as a chart and as a table."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE dummy_sketch DISABLE TRIGGER USER")
    page = client.get(url("badgedefinition", "change", "first"))
    text = text_of(page)
    assert "NEW.hit_views &gt;= 0" in text
    assert "State: disabled" in text
    assert "ALTER TABLE public.dummy_sketch ENABLE TRIGGER" in text.replace("&quot;", "")
    assert "<svg " in page.content.decode()
    assert re.search(r"Show as table Day Awards \S+ 1", text)


def test_definitions_are_read_only(site, boss, client):
    """Definitions come from the badge file: none is added, changed or deleted here."""
    assert "_save" not in client.get(url("badgedefinition", "change", "first")).content.decode()
    assert client.post(url("badgedefinition", "change", "first"), {"name": "x"}).status_code == 403
    assert client.get(url("badgedefinition", "add")).status_code == 403
    assert client.post(url("badgedefinition", "delete", "first"), {"post": "yes"}).status_code == 403


def test_badges_that_are_not_installed(site, boss, client, badge_file):
    """A badge of the file that is not installed yet is named, with the command."""
    badge_file(FIRST, STAR, HIT, PAUSED, entry("fresh"))
    [warning] = said(client.get(url("badgedefinition")))
    assert "fresh" in warning
    assert "create_badge_triggers" in warning


def test_broken_file(site, boss, client, badge_file):
    """A badge file that cannot be read is reported; the page is there, without states."""
    badge_file().write_text("[{", "utf-8")
    for page in (client.get(url("badgedefinition")), client.get(url("badgedefinition", "change", "first"))):
        assert page.status_code == 200
        assert "badge.json has 1 error" in said(page)[0]
    assert "First sketch first - - - - - -" in text_of(client.get(url("badgedefinition")))


def test_definitions_take_a_fixed_number_of_queries(site, boss, client, declare):
    """Ten times the badges take as many queries."""
    with CaptureQueriesContext(connection) as few:
        client.get(url("badgedefinition"))
    declare(*(entry(f"badge-{number}") for number in range(40)))
    with CaptureQueriesContext(connection) as many:
        assert len(rows(client.get(url("badgedefinition")))) == 44
    assert len(many) == len(few)
    # Session, user, count, rows, categories; the rest is the status. Savepoints are those of the transactions.
    assert len([query for query in many.captured_queries if "SAVEPOINT" not in query["sql"]]) <= 20


# Badges


def test_search(site, boss, client):
    """Badges are found by the key of their user, and by the beginning of the username in any letters."""
    other = User.objects.create(username="Adam")
    Badge.objects.award(other, "star")
    for text, expected in {
        "ada": {site}, "Ada": {other}, "ADA": {site, other}, str(other.pk): {other}, "da": set(), "%": set(),
        "99999999999999999999": set(), "": {site, other},
    }.items():  # fmt: skip
        assert {badge.user for badge in rows(client.get(url("badge"), {"q": text}))} == expected, text
        found = {event.user for event in rows(client.get(url("badgeevent"), {"q": text}))}
        assert found == expected, text


def test_filters(site, boss, client):
    """Badges are filtered by badge, manual, expired, and time; those that have expired are shown, too."""
    star = Badge.objects.award(site, "star")
    Badge.objects.award(site, "hit", Sketch.objects.create(user=site, title="Sketch"))
    Badge.with_expired.filter(pk=star.pk).update(expires_at=timezone.now())
    for query, expected in {
        "": {"first", "star", "hit"},
        "definition__code__exact=star": {"star"},
        "by_hand__exact=1": {"star", "hit"},
        "expired=yes": {"star"},
        "expired=no": {"first", "hit"},
        "awarded_at__gte=2100-01-01 00:00%2B00:00": set(),
        "awarded_at__gte=2000-01-01 00:00%2B00:00": {"first", "star", "hit"},
    }.items():
        assert {badge.code for badge in rows(client.get(f"{url('badge')}?{query}"))} == expected, query


def test_award(site, boss, client):
    """A manual award is an event with who and why, and an entry in Django's log."""
    form = {"user": site.pk, "definition": "star", "thing": "", "reason": "Won the contest."}
    page = client.post(url("badge", "add"), form, follow=True)
    badge = Badge.objects.get(code="star")
    assert (badge.user, badge.by_hand) == (site, True)
    event = BadgeEvent.objects.get(definition="star")
    assert (event.kind, event.cause, event.actor, event.reason) == ("awarded", "by hand", "boss", "Won the contest.")
    log = LogEntry.objects.get()
    assert (log.user, log.object_id, log.is_addition()) == (boss, str(badge.pk), True)
    assert log.get_change_message() == "Reason: Won the contest."
    addresses = url("badgeevent", "changelist"), url("badgeevent", "change", event.pk), url("badge", "change", badge.pk)
    for address in addresses:
        shown = text_of(client.get(address, headers={"accept-language": "de"}))
        assert "manuell" in shown
        assert "by hand" not in shown
    assert "Star, ada" in said(page)[0]
    assert log.object_repr == "Star, ada"


def test_award_form(site, boss, client):
    """The form has no list of users; it takes a username; it offers active badges only, and asks for a reason."""
    page = client.get(url("badge", "add"))
    form = page.context["adminform"].form
    assert "<select" not in str(form["user"])
    assert {choice.value for choice, _ in list(form.fields["definition"].choices)[1:]} == {"first", "star", "hit"}
    page = client.post(url("badge", "add"), {"user": "ada", "definition": "paused", "reason": " "})
    assert set(page.context["adminform"].form.errors) == {"definition", "reason"}
    client.post(url("badge", "add"), {"user": "ada", "definition": "star", "reason": "x"})
    assert Badge.objects.filter(user=site, code="star").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"user": "nobody"}, "There is no user with this key or username."),
        ({"user": "-1"}, "There is no user with this key or username."),
        ({"definition": "nothing"}, "Select a valid choice"),
        ({"definition": "first"}, "ada holds this badge already."),
        ({"definition": "hit"}, "awarded once for each id: enter its key."),
        ({"thing": "7"}, "This badge has no subject"),
    ],
)
def test_awards_that_are_refused(site, boss, client, changes, message):
    """What cannot be awarded is said beside the field, and nothing is awarded."""
    page = client.post(url("badge", "add"), {"user": "ada", "definition": "star", "reason": "x", **changes})
    assert message in text_of(page)
    assert Badge.objects.count() == 1


def test_award_for_a_thing(site, boss, client):
    """A badge that there is one of for each thing is awarded for one."""
    form = {"user": "ada", "definition": "hit", "thing": "7", "reason": "x"}
    page = client.post(url("badge", "add"), form, follow=True)
    assert said(page) == [f'User {site.pk} has no row in dummy_sketch whose id is "7".']
    Sketch.objects.create(pk=7, user=site, title="Sketch")
    client.post(url("badge", "add"), form)
    assert Badge.objects.get(code="hit").thing == "7"


def test_not_in_line(site, boss, client, execute):
    """Where the functions are missing, the hint is a message."""
    badge = Badge.objects.get()
    execute("ALTER FUNCTION badges_award RENAME TO badges_award_away")
    execute("ALTER FUNCTION badges_revoke RENAME TO badges_revoke_away")
    execute("ALTER FUNCTION badges_settle RENAME TO badges_settle_away")
    for address, form in (
        (url("badge", "add"), {"user": "ada", "definition": "star", "reason": "x"}),
        (url("badge", "delete", badge.pk), {"reason": "x", "post": "yes"}),
        (url("badge"), {"action": "delete_selected", "_selected_action": badge.pk, "reason": "x", "post": "yes"}),
    ):
        page = client.post(address, form, follow=True)
        assert any("create_badge_triggers" in text for text in said(page)), address
    assert Badge.objects.get() == badge
    assert not LogEntry.objects.exists()


def test_missing_rights(site, boss, client, execute):
    """Where the role of the database may not award, a message says so."""
    execute("CREATE ROLE badges_test_site")
    execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO badges_test_site")
    execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO badges_test_site")
    execute("SET LOCAL ROLE badges_test_site")
    page = client.post(url("badge", "add"), {"user": "ada", "definition": "star", "reason": "x"}, follow=True)
    assert said(page) == ["The database role may not do this: permission denied for function badges_award."]


def test_revoke(site, boss, client):
    """The page that confirms a revocation asks for a reason; the event has it, with who did it, as has Django's log."""
    badge = Badge.objects.get()
    page = client.get(url("badge", "delete", badge.pk))
    assert "First sketch is revoked from ada." in text_of(page)
    page = client.post(url("badge", "delete", badge.pk), {"post": "yes", "reason": " "})
    assert "This field is required." in text_of(page)
    assert Badge.objects.exists()
    client.post(url("badge", "delete", badge.pk), {"post": "yes", "reason": "On request."})
    assert not Badge.objects.exists()
    event = BadgeEvent.objects.get(kind="revoked")
    assert (event.user, event.cause, event.actor, event.reason) == (site, "by hand", "boss", "On request.")
    log = LogEntry.objects.get()
    assert (log.object_repr, log.is_deletion()) == ("First sketch, ada", True)
    assert log.get_change_message() == "Reason: On request."


def test_revoke_selected(site, boss, client):
    """Several badges are revoked at once, for one reason; each is an event and an entry in the log."""
    Badge.objects.award(site, "star")
    chosen = [str(badge.pk) for badge in Badge.objects.all()]
    page = client.get(url("badge"))
    assert [name for name, _ in page.context["action_form"].fields["action"].choices][1:] == ["delete_selected"]
    page = client.post(url("badge"), {"action": "delete_selected", "_selected_action": chosen})
    assert "First sketch, ada Star, ada" in text_of(page)
    form = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}
    assert "This field is required." in text_of(client.post(url("badge"), {**form, "reason": ""}))
    page = client.post(url("badge"), {**form, "reason": "Season ended."}, follow=True)
    assert said(page) == ["2 badges were revoked."]
    assert not Badge.objects.exists()
    events = BadgeEvent.objects.filter(kind="revoked").values_list("actor", "reason")
    assert [*events] == [("boss", "Season ended.")] * 2
    assert {entry.object_repr for entry in LogEntry.objects.all()} == {"First sketch, ada", "Star, ada"}


def test_revoke_selected_has_a_limit(site, boss, client, monkeypatch):
    """More badges than a form can name are not revoked."""
    monkeypatch.setattr("badges.admin.held.REVOKED_AT_ONCE", 1)
    Badge.objects.award(site, "star")
    form = {"action": "delete_selected", "_selected_action": [badge.pk for badge in Badge.objects.all()]}
    page = client.post(url("badge"), {**form, "post": "yes", "reason": "x"}, follow=True)
    assert said(page) == ["No more than 1 badges are revoked at once."]
    assert Badge.objects.count() == 2


def test_badge(site, boss, client):
    """A badge is shown with its evidence and its events, and cannot be changed."""
    Badge.objects.revoke(site, "first", by="support", reason="Not theirs.")
    Badge.objects.award(site, "first", by=boss, reason="It was.")
    badge = Badge.objects.get()
    page = client.get(url("badge", "change", badge.pk))
    text = text_of(page)
    assert "manual boss It was." in text
    assert "manual support Not theirs." in text
    assert "insert on public.dummy_sketch" in text
    assert 'name="_save"' not in page.content.decode()
    assert client.post(url("badge", "change", badge.pk), {"thing": "x"}).status_code == 403


def test_evidence(site, boss, client):
    """The evidence of an award is shown, and what users wrote is escaped."""
    execute = connection.cursor().execute
    execute("UPDATE badges_badge SET evidence = %s", [json.dumps({"new": {"title": "<script>é"}})])
    text = client.get(url("badge", "change", Badge.objects.get().pk)).content.decode()
    assert "&quot;title&quot;: &quot;&lt;script&gt;é&quot;" in text


# Events, pending checks, failures


@pytest.mark.parametrize("model", ["badgeevent", "pendingcheck", "failure"])
def test_records_are_read_only(site, boss, client, model):
    """What the database has recorded is shown, and is not added to, changed or deleted."""
    PendingCheck.objects.create(bucket=1, user=site, code="star", evidence={"a": 1})
    Failure.objects.create(code="star", sqlstate="22012", message="division by zero")
    [row] = rows(client.get(url(model)))
    page = client.get(url(model, "change", row.pk))
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    assert client.post(url(model, "change", row.pk), {"code": "x"}).status_code == 403
    assert client.get(url(model, "add")).status_code == 403
    assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert client.get(url(model)).context["action_form"] is None


def test_event_filters(site, boss, client):
    """Events are filtered by kind, badge and time; the newest come first."""
    Badge.objects.award(site, "star")
    Badge.objects.revoke(site, "star")
    for query, expected in {
        "": [("star", "revoked"), ("star", "awarded"), ("first", "awarded")],
        "kind__exact=revoked": [("star", "revoked")],
        "definition__code__exact=first": [("first", "awarded")],
        "at__gte=2100-01-01 00:00%2B00:00": [],
    }.items():
        found = [(event.code, event.kind) for event in rows(client.get(f"{url('badgeevent')}?{query}"))]
        assert found == expected, query


def test_event_of_no_definition(site, boss, client, execute):
    """An event whose definition is gone is shown by the code."""
    execute("SET LOCAL session_replication_role = replica")
    execute("UPDATE badges_badgeevent SET code = 'gone'")
    execute("SET LOCAL session_replication_role = origin")
    assert "gone ada" in text_of(client.get(url("badgeevent")))


def test_settle(site, boss, client):
    """Pending checks are settled at once by a button; it is only for those who may, and only by POST."""
    PendingCheck.objects.create(
        bucket=1, user=site, code="star", noted_by="1", evidence={"operation": "insert", "new": {"hit_views": 2000}}
    )
    assert "Settle now" in client.get(url("pendingcheck")).content.decode()
    page = client.post(url("pendingcheck", "settle"), follow=True)
    assert said(page) == ["1 pending check is settled."]
    assert Badge.objects.filter(code="star").exists()
    assert client.get(url("pendingcheck", "settle")).status_code == 403


def test_settling_needs_the_right(site, staff, client):
    """A user who may only view pending checks has no button, and is rejected."""
    staff("view_pendingcheck")
    assert "Settle now" not in client.get(url("pendingcheck")).content.decode()
    assert client.post(url("pendingcheck", "settle")).status_code == 403


def test_check_of_no_user(site, boss, client):
    """A pending check that outlived its user is shown by the key; one of a user not yet known by none."""
    PendingCheck.objects.create(bucket=1, user_id=4711, code="star", evidence={})
    PendingCheck.objects.create(bucket=0, user_id=None, code="loved", evidence={})
    text = text_of(client.get(url("pendingcheck")))
    assert "star 4711" in text
    assert "loved -" in text


def test_failures(site, boss, client):
    """Failures say what to do about them."""
    Failure.objects.create(code="star", sqlstate="22012", message="division by zero")
    text = text_of(client.get(url("failure")))
    assert "python manage.py award_badges" in text
    assert "star division by zero 1" in text


def test_a_user_is_deleted(site, boss, client):
    """Pending checks and events, which no user may delete, keep no user from being deleted in the admin."""
    PendingCheck.objects.create(bucket=1, user=site, code="star", evidence={})
    assert "Badge: First sketch" in text_of(client.get(reverse("admin:auth_user_delete", args=[site.pk])))
    page = client.post(reverse("admin:auth_user_delete", args=[site.pk]), {"post": "yes"})
    assert page.status_code == 302
    assert not User.objects.filter(pk=site.pk).exists()


# Rights


def test_only_staff(site, client):
    """Only staff sees the pages."""
    client.force_login(site)
    for model in ("badgedefinition", "badge", "badgeevent", "pendingcheck", "failure"):
        assert client.get(url(model)).status_code == 302


def test_view_only(site, staff, client):
    """Who may view badges sees them, and can neither award nor revoke."""
    staff("view_badge")
    badge = Badge.objects.get()
    page = client.get(url("badge"))
    assert "addlink" not in page.content.decode()
    assert page.context["action_form"] is None
    assert "deletelink" not in client.get(url("badge", "change", badge.pk)).content.decode()
    assert client.get(url("badge", "add")).status_code == 403
    assert client.post(url("badge", "delete", badge.pk), {"post": "yes", "reason": "x"}).status_code == 403
    client.post(url("badge"), {"action": "delete_selected", "_selected_action": badge.pk, "post": "yes", "reason": "x"})
    assert Badge.objects.count() == 1
    assert client.get(url("badgeevent")).status_code == 403
    assert "Badge events" not in text_of(client.get(reverse("admin:index")))


def test_change_is_no_right_to_change(site, staff, client):
    """The right to change badges allows viewing them only."""
    staff("change_badge")
    badge = Badge.objects.get()
    assert client.get(url("badge", "change", badge.pk)).status_code == 200
    assert client.post(url("badge", "change", badge.pk), {"thing": "x"}).status_code == 403


def test_add_only(site, staff, client):
    """Who may only award does, and is sent to a page that they may see."""
    staff("add_badge")
    page = client.post(url("badge", "add"), {"user": "ada", "definition": "star", "reason": "x"}, follow=True)
    assert page.status_code == 200
    assert BadgeEvent.objects.get(definition="star").actor == "staff"


# Long lists


@pytest.fixture
def many(site, execute):
    """30,000 more users with a badge and an event each."""
    execute("SET LOCAL session_replication_role = replica")
    execute(
        """
        INSERT INTO auth_user (username, password, is_superuser, first_name, last_name, email, is_staff, is_active,
                               date_joined)
        SELECT 'user' || n, '', false, '', '', '', false, true, now() FROM generate_series(1, 30000) AS n
        """
    )
    execute("INSERT INTO badges_badge (user_id, code) SELECT id, 'star' FROM auth_user WHERE username LIKE 'user%'")
    execute(
        """
        INSERT INTO badges_badgeevent (user_id, code, kind, cause, transaction)
        SELECT user_id, code, 'awarded', 'sql', row_number() OVER () FROM badges_badge
        """
    )
    execute("SET LOCAL session_replication_role = origin")
    execute("ANALYZE auth_user, badges_badge, badges_badgeevent, badges_badgedefinition")


LISTS = [
    ("badge", "", "badges_badge_user_code"),
    ("badge", "?q=user77", "badges_badge_user_code"),
    ("badge", "?definition__code__exact=star", "badges_badge_user_code"),
    ("badge", "?definition__code__exact=first", "badges_badge_code"),
    ("badgeevent", "", "badges_badgeevent_order"),
    ("badgeevent", "?q=user77", "badges_badgeevent_user_at"),
    ("badgeevent", "?kind__exact=awarded", "badges_badgeevent_order"),
    ("badgeevent", "?definition__code__exact=first", "badges_badgeevent_code_at"),
]


def test_long_lists(many, boss, client):
    """A page of a long list costs as much as one of a short list."""
    for model, query, index in LISTS:
        uses_index(client, model, query, index)
    for model in ("badge", "badgeevent"):
        is_not_counted(client, model)


def uses_index(client, model, query, index):
    """A page of a long list is read by an index: no table of badges, events or users is read as a whole."""
    with CaptureQueriesContext(connection) as queries:
        page = client.get(url(model) + query)
    assert page.status_code == 200
    table = f'FROM "badges_{model}"'
    [listed] = [each["sql"] for each in queries if table in each["sql"] and "ORDER BY" in each["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {listed}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert index in plan, plan
    assert not re.search(r"Seq Scan on (badges_badge|badges_badgeevent|auth_user)\b", plan), plan


def is_not_counted(client, model):
    """Of a long list only the beginning is counted; its length is PostgreSQL's estimate, and the page says so."""
    with CaptureQueriesContext(connection) as queries:
        page = client.get(url(model))
    counts = [each["sql"] for each in queries if f"badges_{model}" in each["sql"] and "COUNT(" in each["sql"]]
    assert len(counts) == 1
    assert f"LIMIT {paging.COUNTED + 1}" in counts[0]
    assert page.context["cl"].result_count == {"badge": 30_001, "badgeevent": 30_002}[model]
    assert "estimate" in text_of(page)
    page = client.get(url(model), {"definition__code__exact": "star"})
    assert page.context["cl"].result_count == paging.COUNTED
    assert "There are more." in text_of(page)
    assert "There are more." not in text_of(client.get(url(model), {"definition__code__exact": "first"}))


@pytest.mark.parametrize("model", ["badge", "badgeevent", "pendingcheck"])
def test_no_query_for_each_row(site, boss, client, model):
    """Twenty rows take as many queries as one."""

    def add(count):
        for number in range(count):
            user = User.objects.create(username=f"u{User.objects.count()}")
            Badge.objects.award(user, "star")
            PendingCheck.objects.create(bucket=number, user=user, code="star", evidence={})

    add(1)
    with CaptureQueriesContext(connection) as few:
        client.get(url(model))
    add(20)
    with CaptureQueriesContext(connection) as many:
        assert len(rows(client.get(url(model)))) > 20
    assert len(many) == len(few)


def test_a_page_of_badges_without_estimate(site, boss, client, monkeypatch):
    """A table that was never analysed has no estimate: what was counted stands in for it."""
    monkeypatch.setattr("badges.admin.paging.COUNTED", 1)
    monkeypatch.setattr(paging.LongListPaginator, "_estimate", lambda self: -1)
    Badge.objects.award(site, "star")
    assert client.get(url("badge")).context["cl"].result_count == 2


# The site around it


def test_checks():
    """Django finds nothing wrong with the admin of the badges."""
    assert not checks.run_checks(tags=["admin"])


def test_other_users(empty_database, tmp_path):
    """Users without a username: they are searched, and awarded badges, by what they log in with or by their UUID."""
    with psycopg.connect(empty_database) as database:
        database.execute("CREATE SCHEMA people")
    walk = Path(__file__).parent / "sites" / "walk_admin.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", walk, empty_database, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {
        "searched": {"ada@": ["one"], "ADA@": ["one"], "bob@": [], "the key": ["one"], "nobody": []},
        "awarded by e-mail": 302,
        "awarded by key": 302,
        "rejected": "There is no user with this key or email.",
        "actor": ["boss@example.org", "boss@example.org"],
        "revoked": 302,
        "left": ["one", "two"],
    }
