"""Behind a pooler in transaction mode: what needs a session of its own says so, before it leaves anything behind."""

from __future__ import annotations

import asyncio
import contextlib
import io

import pytest
from conftest import entry
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection, connections
from dummy.models import Sketch
from other_databases import PARAMETERS
from pooler import pooled
from psycopg.conninfo import make_conninfo

from badges.live import hub
from badges.models import Delivery
from badges.signals import badge_awarded, listener

pytestmark = pytest.mark.django_db(transaction=True)

LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s"


@contextlib.contextmanager
def behind_a_pooler(**options):
    """The database of the tests, under an alias through a pooler."""
    known = {name: connection.settings_dict[key] for name, key in PARAMETERS.items()}
    with pooled(make_conninfo("", **{key: value for key, value in known.items() if value}), **options) as pooler:
        settings = connections["default"].settings_dict
        # Kept open: a test that opens another database by itself is stopped by Django.
        place = {"HOST": "127.0.0.1", "PORT": str(pooler.port), "CONN_MAX_AGE": None}
        connections.databases["pooled"] = {**settings, **place}
        try:
            connections["pooled"].connect()
            yield pooler
        finally:
            connections["pooled"].close()
            del connections["pooled"], connections.databases["pooled"]


def listen(*arguments):
    call_command("listen_badges", *arguments, database="pooled", stdout=(output := io.StringIO()), no_color=True)
    return output.getvalue()


@pytest.mark.parametrize("options", [{}, {"is_fair": True}, {"size": 5, "is_fair": True}], ids=str)
def test_listener_behind_a_pooler(execute, options):
    """listen_badges ends with the reason and the setting, and leaves no lock; --check finds no listener."""
    with behind_a_pooler(**options):
        for arguments in ([], ["--once"]):
            with pytest.raises(CommandError, match=r"pooler in transaction mode.*BADGES_DIRECT"):
                listen(*arguments)
            assert execute(LOCKS, [listener.LOCK_CLASS]) == [(0,)]
        with pytest.raises(CommandError, match="listeners: 0"):
            listen("--check")


def test_direct_connection_beside_a_pooler(committed, execute, settings):
    """With BADGES_DIRECT signals are sent while all queries go through the pooler; so behind one in session mode."""
    settings.BADGES_SIGNALS = True
    committed(entry("first", condition="true"))
    ada = get_user_model().objects.create(username="ada")
    received = []

    def note(event, **_):
        # A listener is there, and holds the lock of the user.
        received.append((event.code, execute(LOCKS, [listener.LOCK_CLASS])))

    badge_awarded.connect(note)
    try:
        settings.BADGES_DIRECT = {"pooled": "default"}
        with behind_a_pooler():
            Sketch.objects.using("pooled").create(user=ada, title="x")
            assert listen("--once").endswith("1 event sent.\n")
        settings.BADGES_DIRECT = {}
        execute("DELETE FROM badges_badge")
        with behind_a_pooler(is_for_good=True, size=5):
            Delivery.objects.all().delete()
            Sketch.objects.using("pooled").create(user=ada, title="x")
            assert listen("--once").endswith("1 event sent.\n")
    finally:
        badge_awarded.disconnect(note)
    assert received == [("first", [(2,)]), ("first", [(2,)])]


def test_alias_that_is_not_there(settings):
    """A direct connection that DATABASES does not have is named."""
    settings.BADGES_DIRECT = {"default": "direct"}
    with pytest.raises(CommandError, match='no database "direct" in DATABASES, only default'):
        call_command("listen_badges", "--once")


def test_live_streams_behind_a_pooler(committed, settings, caplog):
    """The hub does not listen on a session that is lent to others, and polls; with BADGES_DIRECT it listens."""
    settings.BADGES_NOTIFY = True
    committed()

    async def listens(alias):
        running = hub.Hub(alias)
        async with running._listening() as session:
            channels = await (await session.execute("SELECT pg_listening_channels()")).fetchall()
            return running._notifies, channels

    with behind_a_pooler():
        assert asyncio.run(listens("pooled")) == (False, [])
        assert "The live streams poll every 2.0 s" in caplog.text
        settings.BADGES_DIRECT = {"pooled": "default"}
        assert asyncio.run(listens("pooled")) == (True, [("badges",)])


def test_session_that_is_lost_on_the_way(committed, monkeypatch):
    """A listener that finds itself on another session later than at its start stops with the same reason."""
    committed()
    monkeypatch.setattr(listener, "is_pooled", lambda params: False)
    with behind_a_pooler(is_fair=True), pytest.raises(CommandError, match="pooler in transaction mode"):
        listen()
