"""Live streams: the right events to the right user, at once, none lost and none twice, in any order of commits."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from conftest import entry
from django.contrib.auth import get_user_model
from django.db import connection
from other_databases import PARAMETERS
from processes import SECONDS, eventually
from psycopg.conninfo import make_conninfo
from streams import Stream, server

from badges.live import hub, views
from badges.live.position import Position, Snapshot, StreamedEvent
from badges.models import Badge, BadgeDefinition

pytestmark = pytest.mark.django_db(transaction=True)

CODES = [f"b{number}" for number in range(6)]
WOKEN = {"BADGES_NOTIFY": True, "BADGES_POLL": 3600}
BADGES = [entry(code, condition="false") for code in CODES]


@pytest.fixture(autouse=True)
def listeners_are_woken(settings):
    settings.BADGES_NOTIFY = True


@pytest.fixture
def ada(user):
    return user


@pytest.fixture
def bob():
    return get_user_model().objects.create(username="bob")


@pytest.fixture(scope="module")
def pages(django_db_setup, tmp_path_factory):
    """A server of the site; it polls so rarely that a wake is a NOTIFY."""
    with server(tmp_path_factory.mktemp("pages"), **WOKEN) as running:
        yield running


@pytest.fixture
def site(committed, pages):
    """The server of the site with manual awards only, and without open streams."""
    committed(*BADGES)
    yield pages
    pages.close()
    assert eventually(lambda: sessions() == [])


def session(**options):
    """Another session."""
    known = {name: connection.settings_dict[key] for name, key in PARAMETERS.items()}
    return psycopg.connect(make_conninfo("", **{key: value for key, value in known.items() if value}), **options)


AWARD = "INSERT INTO badges_badge (user_id, code) VALUES (%s, %s)"


# What comes


def test_a_badge_by_sql(site, ada, bob):
    """A badge that another session commits reaches the page of its user without a poll, and no other page."""
    stream, other = site.stream(ada).is_ready(), site.stream(bob).is_ready()
    with session() as writer:
        writer.execute(AWARD, [ada.pk, "b0"])
        writer.commit()
        begun = time.monotonic()
    name, data = stream.next()
    assert time.monotonic() - begun < hub.QUIET_POLL
    at, url = data.pop("at"), data.pop("url")
    assert url in ("", "/badges/badge/b0/")
    assert abs(datetime.fromisoformat(at) - datetime.now(UTC)) < timedelta(minutes=1)
    assert (name, data) == (
        "badge",
        {"code": "b0", "name": "B0", "description": "", "image": "", "thing": "", "kind": "awarded", "points": 0},
    )
    assert other.is_silent()


def test_a_rolled_back_badge(site, ada):
    """What is rolled back is not shown."""
    stream = site.stream(ada).is_ready()
    with session() as writer:
        writer.execute(AWARD, [ada.pk, "b0"])
        writer.rollback()
    assert stream.is_silent()


def test_revoked_and_quiet(site, execute, ada):
    """A revoked badge is shown as such; quiet awards are not shown."""
    stream = site.stream(ada).is_ready()
    Badge.objects.award(ada, "b0")
    Badge.objects.revoke(ada, "b0")
    with session() as writer:
        writer.execute("SELECT set_config('badges.quiet', 'on', true)")
        writer.execute(AWARD, [ada.pk, "b1"])
        writer.commit()
    Badge.objects.award(ada, "b2")
    assert stream.badges(3) == [("awarded", "b0"), ("revoked", "b0"), ("awarded", "b2")]


def test_name_in_the_language_of_the_request(site, ada):
    """The name and the description are those of the request's language, the picture is a static file."""
    BadgeDefinition.objects.filter(code="b0").update(
        translations={"de": {"name": "Sammlerin", "description": "Fünf"}}, image="badges/b0.svg", points=5, secret=True
    )
    german, english = site.stream(ada, language="de").is_ready(), site.stream(ada).is_ready()
    Badge.objects.award(ada, "b0")
    [data, plain] = [stream.next()[1] for stream in (german, english)]
    assert (data["name"], data["description"], data["points"]) == ("Sammlerin", "Fünf", 5)
    assert data["image"] == "/static/badges/b0.svg"
    assert plain["name"] == "B0"


def test_everybodys_badges(committed, tmp_path, ada, bob):
    """With BADGES_LIVE_ALL a page sees the badges of all, with the user, save the secret ones of others."""
    committed(*BADGES)
    BadgeDefinition.objects.filter(code="b1").update(secret=True)
    with server(tmp_path, BADGES_NOTIFY=True, BADGES_LIVE_ALL=True) as running:
        stream = running.stream(ada).is_ready()
        for user, code in ((bob, "b1"), (bob, "b0"), (ada, "b1")):
            Badge.objects.award(user, code)
        assert [(data["user"], data["code"]) for _, data in (stream.next(), stream.next())] == [
            (bob.pk, "b0"), (ada.pk, "b1")
        ]  # fmt: skip


def test_polls_without_notify(committed, settings, tmp_path, ada):
    """Where nothing notifies, the stream's session looks by itself."""
    settings.BADGES_NOTIFY = False
    committed(*BADGES)
    with server(tmp_path, BADGES_NOTIFY=False, BADGES_POLL=0.05) as running:
        stream = running.stream(ada).is_ready()
        Badge.objects.award(ada, "b0")
        assert stream.badges(1) == [("awarded", "b0")]


# Who may


def test_anonymous(site):
    """Anonymous requests are rejected, by stream and polling."""
    assert site.get("/badges/live/", None).status == 403
    assert site.get("/badges/live/recent/", None).status == 403


def test_wsgi(settings, client):
    """Under WSGI the stream says why it cannot be, and where to ask instead."""
    settings.ROOT_URLCONF = "sites.listening.urls"
    response = client.get("/badges/live/")
    assert response.status_code == 501
    assert "ASGI" in response.json()["error"]
    assert response.json()["poll"] == "/badges/live/recent/"


# How many


def test_too_many_streams_of_a_user(committed, tmp_path, ada, bob):
    """Beyond the limit a user is sent to polling, until a stream has ended; other users are not."""
    committed(*BADGES)
    with server(tmp_path, **WOKEN, BADGES_LIVE_STREAMS_OF_USER=2) as running:
        first, _ = (running.stream(ada).is_ready() for _ in range(2))
        rejected = running.get("/badges/live/", ada)
        assert rejected.status == 429
        assert "too many" in json.loads(rejected.text)["error"]
        assert running.get(json.loads(rejected.text)["poll"], ada).status == 200
        running.stream(bob).is_ready()
        first.close()
        assert eventually(lambda: running.stream(ada).response.status == 200)


def test_too_many_streams_of_a_process(committed, tmp_path, ada, bob):
    """Beyond the limit of the process all users are sent to polling."""
    committed(*BADGES)
    with server(tmp_path, **WOKEN, BADGES_LIVE_STREAMS=2) as running:
        running.stream(ada).is_ready()
        running.stream(bob).is_ready()
        rejected = running.get("/badges/live/", bob)
        assert (rejected.status, json.loads(rejected.text)["poll"]) == (503, "/badges/live/recent/")


def test_streams_that_begin_at_once(settings, ada):
    """Streams that all passed the check before any had begun do not exceed the limit; the others end at once."""
    settings.BADGES_LIVE_STREAMS_OF_USER = 2

    async def begin():
        streams = [views._events(ada.pk, None, [], sees_all=False) for _ in range(5)]
        begun = [await anext(stream) for stream in streams]
        firsts = [asyncio.ensure_future(anext(stream, "end")) for stream in streams]
        for _ in range(5):
            await asyncio.sleep(0)
        ended = [first.done() and first.result() == "end" for first in firsts]
        for first in firsts:
            first.cancel()
        await asyncio.gather(*firsts, return_exceptions=True)
        # A loop that is closed before cuts off the session of the hub, which stays until garbage is collected.
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)
        return begun, ended

    begun, ended = asyncio.run(begin())
    assert all(text.startswith("retry: ") for text in begun)
    assert ended == [False, False, True, True, True]
    assert hub.Hub.too_many(ada.pk) is None


# Resuming


def test_resume(site, ada):
    """Who comes back with the last id, in the header or the address, gets what was missed, once and in order."""
    stream = site.stream(ada).is_ready()
    Badge.objects.award(ada, "b0")
    assert stream.badges(1) == [("awarded", "b0")]
    stream.close()
    Badge.objects.award(ada, "b1")
    Badge.objects.award(ada, "b2")
    for way in ("last", "after"):
        again = site.stream(ada, **{way: stream.id})
        assert again.badges(2) == [("awarded", "b1"), ("awarded", "b2")]
        assert site.stream(ada, last=again.is_ready().id).is_ready().is_silent(0.2)


def test_resume_within_a_transaction(site, ada):
    """A client that was cut off after any of several badges of one COMMIT gets exactly the others."""
    begun = site.stream(ada).is_ready()
    with session() as writer:
        for code in CODES:
            writer.execute(AWARD, [ada.pk, code])
        writer.commit()
    for count in range(len(CODES) + 1):
        stream = site.stream(ada, last=begun.id)
        assert [code for _, code in stream.badges(count)] == CODES[:count] if count else True
        last = stream.id
        stream.close()
        again = site.stream(ada, last=last)
        assert [code for _, code in again.badges(len(CODES) - count)] == CODES[count:] if count < len(CODES) else True
        again.is_ready()


def test_a_transaction_that_commits_late(site, ada):
    """A transaction that began first and commits last is seen by who stayed and by who comes back, once by each."""
    stream = site.stream(ada).is_ready()
    with session() as slow, session() as quick:
        slow.execute(AWARD, [ada.pk, "b0"])
        quick.execute(AWARD, [ada.pk, "b1"])
        quick.commit()
        assert stream.badges(1) == [("awarded", "b1")]
        other = site.stream(ada, last=stream.id).is_ready()
        slow.commit()
    assert stream.badges(1) == other.badges(1) == [("awarded", "b0")]
    for known in (stream, other):
        assert site.stream(ada, last=known.id).is_ready().is_silent(0.2)


def test_two_servers(site, tmp_path, ada):
    """An id from one process holds at another."""
    stream = site.stream(ada).is_ready()
    with session() as slow, server(tmp_path, BADGES_NOTIFY=True) as second:
        slow.execute(AWARD, [ada.pk, "b0"])
        Badge.objects.award(ada, "b1")
        assert stream.badges(1) == [("awarded", "b1")]
        other = second.stream(ada, last=stream.id).is_ready()
        slow.commit()
        assert other.badges(1) == [("awarded", "b0")]


def test_an_id_that_is_none(site, ada):
    """An id that is none of ours begins anew, and breaks nothing."""
    Badge.objects.award(ada, "b0")
    place = "5;" + "x" * 36
    for written in ("x", "1", "5:3:", "3:5:7", "9" * 30, f"1:2:;1:2:;{place}", "'", "0:0:", "3:9:5,5;", "-1:3:"):
        assert site.stream(ada, last=written).is_ready().is_silent(0.1), written


AHEAD = 10**9


def test_an_id_from_before_a_restore(site, ada):
    """A client whose id is ahead of the database begins anew, in a stream and by polling, and then misses nothing."""
    for kind in ("{0}:{0}:", "{0}:{1}:{0}", "5:6:;{0}:{1}:{0};1;" + "0" * 36):
        Badge.objects.award(ada, "b0")
        old = kind.format(AHEAD, AHEAD + 1)
        stream = site.stream(ada, last=old).is_ready()
        polled = json.loads(site.get(f"/badges/live/recent/?after={old}", ada).text)
        assert (polled["events"], polled["id"] == old) == ([], False)
        Badge.objects.award(ada, "b1")
        assert stream.badges(1) == [("awarded", "b1")]
        news = json.loads(site.get(f"/badges/live/recent/?after={polled['id']}", ada).text)
        assert [each["code"] for each in news["events"]] == ["b1"]
        Badge.objects.all().delete()
        stream.close()


def test_a_restore_beneath_open_streams(committed, monkeypatch, ada):
    """Open streams end when the hub sees that the database is behind what they have seen; it then serves new ones."""
    committed(*BADGES)

    async def restored():
        with hub.Hub.stream("default", ada.pk) as (running, stream):
            await running.unseen(None, ada.pk)
            while not running.seen:
                await asyncio.sleep(0.001)
            running.seen = Snapshot(AHEAD, AHEAD, frozenset())
            running._wake.set()
            await stream.wait(SECONDS)
            assert stream.is_ended
            assert not running.seen.is_beyond(Snapshot(AHEAD - 1, AHEAD - 1, frozenset()))

    asyncio.run(asyncio.wait_for(restored(), SECONDS))


def test_many_writers_and_reconnections(site, ada):
    """While transactions overlap at random, a client that comes back again and again sees each event once."""
    chance = random.Random(5)
    stream = site.stream(ada).is_ready()
    writers = {code: session() for code in CODES}
    held, seen, written = set(), [], 0
    try:
        for _ in range(120):
            code = chance.choice(CODES)
            writer = writers[code]
            if writer.info.transaction_status.name == "IDLE":
                statement = "DELETE FROM badges_badge WHERE user_id = %s AND code = %s" if code in held else AWARD
                writer.execute(statement, [ada.pk, code])
            elif chance.random() < 0.2:
                writer.rollback()
            else:
                writer.commit()
                held ^= {code}
                written += 1
            if chance.random() < 0.15:
                stream.close()
                stream = site.stream(ada, last=stream.id)
            elif chance.random() < 0.5 and len(seen) < written:
                name, data = stream.next()
                if name == "badge":
                    seen.append((data["code"], data["at"]))
        while len(seen) < written:
            name, data = stream.next()
            if name == "badge":
                seen.append((data["code"], data["at"]))
        again = site.stream(ada, last=stream.id)
        again.is_ready().is_silent(0.2)
    finally:
        for writer in writers.values():
            writer.close()
    assert len(set(seen)) == len(seen) == written


def test_positions():
    """For any snapshots, and wherever a client is cut off, going onward step by step sees each event once."""
    chance = random.Random(7)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(500):
        commits = chance.sample(range(10, 22), 12)
        events = [
            StreamedEvent(
                str(number), xid, start + timedelta(microseconds=chance.randrange(9)), 1, "x", "", "awarded", {}
            )
            for xid in commits
            for number in (f"{xid}{'0' * 34}", f"{xid}{'1' * 34}")
        ]
        position, seen, done = Position(Snapshot(10, 10, frozenset())), [], 0
        while done < 12 or len(seen) < 24:
            done = min(12, done + chance.randrange(4))
            ended = set(commits[:done])
            latest = max(ended, default=9)
            running = frozenset(xid for xid in range(10, latest) if xid not in ended)
            snapshot = Snapshot(min(running, default=latest + 1), latest + 1, running)
            shown = sorted((each for each in events if snapshot.shows(each.transaction)), key=lambda each: each.place)
            for step, event in position.onward(snapshot, shown):
                seen.append(event.id)
                position = Position.parse(str(step))
                assert position == step
                if chance.random() < 0.3:
                    break
        assert sorted(seen) == sorted(each.id for each in events)


# Polling


def test_polling(site, ada):
    """Polling gives the same: an id first, then what came since, and 304 as long as nothing has."""
    first = json.loads(site.get("/badges/live/recent/", ada).text)
    assert first["events"] == []
    path = f"/badges/live/recent/?after={first['id']}"
    quiet = site.get(path, ada)
    assert json.loads(quiet.text) == first
    assert site.get(path, ada, **{"If-None-Match": quiet.headers["ETag"]}).status == 304
    Badge.objects.award(ada, "b0")
    news = site.get(path, ada, **{"If-None-Match": quiet.headers["ETag"]})
    assert news.status == 200
    assert [each["code"] for each in json.loads(news.text)["events"]] == ["b0"]
    then = json.loads(news.text)["id"]
    assert json.loads(site.get(f"/badges/live/recent/?after={then}", ada).text) == {"id": then, "events": []}
    assert site.stream(ada, after=then).is_ready().is_silent(0.2)


# One session, its end and its loss


def sessions():
    """The sessions of the server of pages with the database, by what they are for."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT application_name FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return [name for (name,) in cursor.fetchall()]


def test_one_session_for_many_streams(site, ada, bob):
    """Thirty open pages share one session with the database, which goes with the last of them."""
    streams = [site.stream(user).is_ready() for user in (ada, bob) for _ in range(15)]
    assert eventually(lambda: sessions() == ["badges_live"])
    Badge.objects.award(ada, "b0")
    assert [stream.badges(1) for stream in streams[:15]] == [[("awarded", "b0")]] * 15
    for stream in streams:
        stream.close()
    assert eventually(lambda: sessions() == [])


def test_a_stream_that_ends_while_the_session_is_made(committed, monkeypatch, ada):
    """The session is closed then, without waiting for the garbage collector."""
    connect, made = psycopg.AsyncConnection.connect, []

    async def slowly(**params):
        made.append(await connect(**params))
        await asyncio.sleep(0.05)
        return made[0]

    async def begin_and_end():
        with hub.Hub.stream("default", ada.pk):
            while not made:
                await asyncio.sleep(0.001)
        while not made[0].closed:
            await asyncio.sleep(0.001)

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", slowly)
    asyncio.run(asyncio.wait_for(begin_and_end(), SECONDS))


def test_the_session_is_lost(site, execute, ada):
    """If the server ends the session, it is opened again, and the stream continues without a gap."""
    stream = site.stream(ada).is_ready()
    execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'badges_live'")
    Badge.objects.award(ada, "b0")
    Badge.objects.award(ada, "b1")
    assert stream.badges(2) == [("awarded", "b0"), ("awarded", "b1")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_stops(committed, tmp_path, ada, number):
    """Open streams end when the server is asked to stop, and do not keep it from stopping."""
    committed(*BADGES)
    with server(tmp_path, **WOKEN) as running:
        streams = [running.stream(ada).is_ready() for _ in range(3)]
        running.process.send_signal(number)
        assert [stream.next() for stream in streams] == [("end", None)] * 3
        running.process.wait(timeout=SECONDS)
    assert eventually(lambda: sessions() == [])


def test_heartbeat(committed, monkeypatch, tmp_path, ada):
    """A stream without news says from time to time that it is there, and brings the id up to date."""
    committed(*BADGES)
    with server(tmp_path, BADGES_NOTIFY=True, BADGES_TEST_HEARTBEAT=0.1) as running:
        stream = running.stream(ada).is_ready()
        lines = [stream.response.readline() for _ in range(3)]
        assert lines[0] == b": still here\n"
        assert lines[1].startswith(b"id: ")
        assert Stream(running.port, ada, last=lines[1].decode()[4:].strip()).is_ready().is_silent(0.05)
