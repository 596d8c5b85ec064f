"""Results that are remembered: they change with the events, and are computed once for all viewers."""

from __future__ import annotations

import datetime

import psycopg
import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection, transaction
from django.utils import timezone
from dummy.models import Sketch
from psycopg.conninfo import make_conninfo

from badges.models import Badge, BadgeEvent
from badges.queries import holders, ranking, remembered, timeline

FIRST = entry("first", condition="true")
OTHER = entry("other", condition="NEW.title = 'other'")


@pytest.fixture
def users(committed, monkeypatch):
    """Two users, one of whom holds the first badge. However small, results are remembered, and there is no pause."""
    committed(FIRST, OTHER)
    cache.clear()
    monkeypatch.setattr(remembered, "FEW_ROWS", 0)
    monkeypatch.setattr(remembered, "PAUSE", 0)
    users = [User.objects.create(username=name) for name in ("ada", "bob")]
    Sketch.objects.create(user=users[0], title="x")
    yield users
    cache.clear()


@pytest.fixture
def psql(users):
    """Another session, without Django."""
    options = connection.settings_dict
    server = {key.lower(): options[key] for key in ("HOST", "PORT", "USER", "PASSWORD") if options[key]}
    with psycopg.connect(make_conninfo(**server, dbname=options["NAME"])) as session:
        yield session


@pytest.fixture
def clock(monkeypatch):
    """The clock of the remembered results, which stands still."""
    times = [remembered.time.time()]
    monkeypatch.setattr(remembered.time, "time", lambda: times[0])
    return times


@pytest.fixture
def count():
    """Count as `by_code` does, and say what was computed: (the holders of these codes, the codes computed)."""

    def counted(codes=("first", "other"), **options):
        computed = []

        def compute(missing):
            computed.extend(missing)
            return {
                code: Badge.objects.filter(code__in=[code] if code else ["first", "other"]).count() for code in missing
            }

        values = remembered.by_code("test", codes, compute, lambda found: sum(found.values()), **options)
        return [values[code] for code in codes], computed

    return counted


def test_once(users, count):
    """A result is computed once, however often it is needed; of other codes, only what is missing."""
    assert count(["first"]) == ([1], ["first"])
    assert count(["first"]) == ([1], [])
    assert count() == ([1, 0], ["other"])
    assert count() == ([1, 0], [])


def test_event(users, count, execute):
    """An award and a revocation show at once, by whatever client; nothing else is computed again."""
    count()
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'other')", [users[0].pk])
    assert count() == ([1, 1], ["other"])
    execute("DELETE FROM badges_badge WHERE code = 'first'")
    assert count() == ([0, 1], ["first"])
    assert count() == ([0, 1], [])


def test_any(users, count):
    """What depends on all badges is computed again for an event of any of them."""
    assert count([remembered.ANY]) == ([1], [""])
    assert count([remembered.ANY]) == ([1], [])
    Sketch.objects.create(user=users[0], title="other")
    assert count([remembered.ANY]) == ([2], [""])


def test_late_commit(users, count, execute, psql):
    """An award that was written before the result was computed, and is committed after it, shows."""
    psql.execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [users[1].pk])
    execute("INSERT INTO badges_badge (user_id, code) VALUES (%s, 'other')", [users[0].pk])
    assert count()[0] == [1, 1]
    psql.commit()
    assert count() == ([2, 1], ["first"])


def test_pause(users, count, monkeypatch):
    """During the pause after a computation, viewers get the former result, and an API that needs it a new one."""
    monkeypatch.setattr(remembered, "PAUSE", 10**6)
    count()
    Sketch.objects.create(user=users[1], title="x")
    assert count() == ([2, 0], ["first"])
    Badge.objects.revoke(users[0], "first")
    assert count() == ([2, 0], [])
    assert count(may_lag=False) == ([1, 0], ["first"])
    assert count() == ([1, 0], [])


def test_a_minute(users, count, clock):
    """What leaves no event shows after a minute, and a result of a clock that is ahead is not used."""
    count()
    User.objects.filter(pk=users[0].pk).delete()
    assert count() == ([1, 0], [])
    clock[0] += 61
    assert count() == ([0, 0], ["first", "other"])
    clock[0] -= 30
    assert count() == ([0, 0], ["first", "other"])


def test_own_transaction(users, count):
    """In a transaction that has written, results are its own, and no other gets them."""
    count()
    with transaction.atomic():
        Sketch.objects.create(user=users[1], title="x")
        assert count() == ([2, 0], ["first", "other"])
        transaction.set_rollback(True)
    assert count() == ([1, 0], [])


def test_points(users, count, committed):
    """The points of a badge are part of what is remembered."""
    count()
    committed({**FIRST, "points": 7}, OTHER)
    assert count() == ([1, 0], ["first", "other"])


def test_another_table(users, count, execute):
    """Of another table of badges, as of another tenant, nothing is known."""
    count()
    execute("CREATE SCHEMA elsewhere")
    try:
        for table in ("badges_badge", "badges_badgedefinition", "badges_badgeevent"):
            execute(f"CREATE TABLE elsewhere.{table} (LIKE {table} INCLUDING ALL)")
        execute("SET search_path = elsewhere, public")
        assert count() == ([0, 0], ["first", "other"])
    finally:
        execute("RESET search_path")
        execute("DROP SCHEMA elsewhere CASCADE")
    assert count() == ([1, 0], ["first", "other"])


def test_few_rows(users, count, monkeypatch):
    """A small result is not remembered: it is exact whatever happens."""
    monkeypatch.setattr(remembered, "FEW_ROWS", 2)
    assert count()[1] == ["first", "other"]
    assert count()[1] == ["first", "other"]
    Sketch.objects.create(user=users[1], title="x")
    assert count() == ([2, 0], ["first", "other"])
    assert count() == ([2, 0], [])


def test_holders_and_users(users, execute):
    """Holders are up to date; the number of users is so after a minute, or after each event on a small site."""
    assert [each.holders for each in holders.remembered_count(["first", "other"]).values()] == [1, 0]
    Sketch.objects.create(user=users[1], title="x")
    User.objects.create(username="eve")
    found = holders.remembered_count(["first", "other"])
    assert [(each.holders, each.users) for each in found.values()] == [(2, 2), (0, 2)]


def test_chart(users):
    """The chart of a badge shows an award at once, in the time zone of the viewer."""

    def days():
        return [(bar.start, bar.awards) for bar in timeline.of("other").filled]

    for number in (1, 2):
        at = datetime.datetime(2026, 5, 3, 23, tzinfo=datetime.UTC)
        BadgeEvent.objects.create(user=users[0], code="other", kind="awarded", cause="sql", at=at)
        for zone, day in (("Europe/Berlin", 4), ("UTC", 3)):
            with timezone.override(zone):
                assert days() == [(timeline.floor(datetime.date(2026, 5, day), timeline.of("other").unit), number)]


# The leaderboard

POINTS = [{**entry(f"p{points}", condition="false"), "points": points} for points in (-1, 0, 1, 2)]
RANKED = """
SELECT user_id, rank() OVER (ORDER BY points DESC, reached_at NULLS FIRST), points, badges
FROM (
    SELECT b.user_id, sum(d.points) AS points, count(*) AS badges,
           max(b.awarded_at) FILTER (WHERE d.points > 0) AS reached_at
    FROM badges_badge AS b JOIN badges_badgedefinition AS d USING (code)
    WHERE b.expires_at IS NULL OR b.expires_at > now()
    GROUP BY b.user_id HAVING sum(d.points) > 0
) AS by_user
ORDER BY points DESC, reached_at NULLS FIRST, user_id
"""


@pytest.fixture
def ranked(users, committed, execute, monkeypatch):
    """Forty users whose points and times are often equal, in leaves of three; gives the places by plain SQL."""
    committed(FIRST, OTHER, *POINTS)
    monkeypatch.setattr(ranking, "LEAF", 3)
    execute("DELETE FROM badges_badge")
    User.objects.bulk_create(User(username=f"u{number}") for number in range(40))
    execute(
        """
        INSERT INTO badges_badge (user_id, code, awarded_at, expires_at)
        SELECT id, 'p' || p, nullif(day + n * 7 % 4 * interval '1 microsecond', day),
               CASE WHEN n % 9 = 0 THEN now() - interval '1 day' END
        FROM (SELECT id, substr(username, 2)::int AS n, '2026-01-01'::timestamptz AS day
              FROM auth_user WHERE username LIKE 'u%') AS u, unnest('{-1,0,1,2}'::int[]) AS p
        WHERE n * (p + 3) % 5 < 3
        """
    )
    cache.clear()
    return lambda: [ranking.Place(rank, key, points, badges) for key, rank, points, badges in execute(RANKED)]


def test_places(ranked):
    """Each part of the leaderboard, and the rank of each user, are those of the whole; computed now, or remembered."""
    expected = ranked()
    assert len(expected) > 20 > len({place.rank for place in expected}) > 5
    for _ in range(2):
        assert ranking.part(0, 1000, None) == (expected, None)
    for start in range(len(expected) + 3):
        for length in (1, 3, 4, 7):
            assert ranking.part(start, start + length, None)[0] == expected[start : start + length]
    for place in expected:
        assert ranking.part(0, 1, place.key) == (expected[:1], place)
    without = set(User.objects.values_list("pk", flat=True)) - {place.key for place in expected}
    assert without
    assert {ranking.part(0, 1, key)[1] for key in without} == {None}


def test_a_leaf_is_lost(ranked, django_assert_num_queries):
    """A leaf that the cache has lost is made again, with all others."""
    expected = ranked()
    ranking.part(0, 1, None)
    root = next(key for key in cache._cache if "ranking" in key and key.endswith(".2"))
    del cache._cache[root]
    del cache._expire_info[root]
    with django_assert_num_queries(1):
        ranking.part(0, 5, None)
    with django_assert_num_queries(3):
        assert ranking.part(5, 9, None)[0] == expected[5:9]
    with django_assert_num_queries(1):
        assert ranking.part(5, 9, None)[0] == expected[5:9]


def test_own_points_during_the_pause(ranked, monkeypatch):
    """Users see their own award at once, with the rank that it gives them in the order that is remembered."""
    monkeypatch.setattr(remembered, "PAUSE", 10**6)
    ranking.part(0, 1, None)
    last = ranked()[-1]
    Badge.objects.award(last.key, "first")  # begins the pause
    ranking.part(0, 1, None)
    former = ranking.part(0, 1000, None)[0]
    held = set(Badge.objects.filter(user=last.key).values_list("code", flat=True))
    Badge.objects.award(last.key, "p1" if "p2" in held else "p2")
    assert ranking.part(0, 1000, None)[0] == former != ranked()
    [now] = [place for place in ranked() if place.key == last.key]
    assert ranking.part(0, 1, last.key)[1] == now
