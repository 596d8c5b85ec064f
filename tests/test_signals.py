"""Awards, revocations and expiries are sent to the receivers: at least once, in order for each user, in any case."""

from __future__ import annotations

import io
import re
import signal
import threading
from datetime import timedelta

import psycopg
import pytest
from conftest import entry
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from other_databases import PARAMETERS
from processes import SECONDS, environment, eventually, process
from psycopg.conninfo import make_conninfo

from badges.models import Badge, BadgeEvent, Delivery, Failure, PendingCheck
from badges.signals import badge_awarded, badge_revoked, dispatch, listener

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = entry("first", condition="NEW.hit_views >= 0")
MANY = entry("many", condition="count(*) >= 2 from dummy_sketch where user_id = NEW.user_id")
MANAGE = ("-m", "django")


@pytest.fixture(autouse=True)
def signals_are_sent(settings):
    settings.BADGES_SIGNALS = True
    settings.BADGES_NOTIFY = True


@pytest.fixture
def ada(user):
    return user


@pytest.fixture
def bob():
    return get_user_model().objects.create(username="bob")


@pytest.fixture
def receive():
    """Connect receivers for both signals, for as long as the test lasts."""
    connected = []

    def connect(*receivers):
        for receiver in receivers:
            for each in (badge_awarded, badge_revoked):
                each.connect(receiver)
                connected.append((each, receiver))

    yield connect
    for each, receiver in connected:
        each.disconnect(receiver)


@pytest.fixture
def received(receive):
    """What a receiver that never fails has been given: kind, code, username."""
    found = []

    def write_down(event, user, definition, **kwargs):
        assert kwargs["sender"] is BadgeEvent
        assert definition == event.definition
        found.append((event.kind, definition.code, user.username))

    receive(write_down)
    return found


def session(**options):
    """The session of another client."""
    known = {name: connection.settings_dict[key] for name, key in PARAMETERS.items()}
    return psycopg.connect(make_conninfo("", **{key: value for key, value in known.items() if value}), **options)


def run(command, *arguments):
    call_command(command, *arguments, stdout=(output := io.StringIO()), no_color=True)
    return output.getvalue()


def drain():
    """What the command says, or fails with."""
    try:
        return run("listen_badges", "--once")
    except CommandError as error:
        return f"{error}\n"


def draw(*users):
    with connection.cursor() as cursor:
        for user in users:
            cursor.execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [user.pk])


def at_once():
    """Make events that wait for a further attempt due now."""
    Delivery.objects.filter(parked_at=None).update(next_at=timezone.now() - timedelta(seconds=1))


# What is sent


def test_awards_and_revocations(committed, ada, received):
    """A badge earned by a plain INSERT and its manual revocation reach the receivers once, in this order."""
    committed(FIRST)
    draw(ada)
    Badge.objects.revoke(ada, "first", by="support")
    assert drain() == "2 events sent.\n"
    assert received == [("awarded", "first", "ada"), ("revoked", "first", "ada")]
    assert drain() == "0 events sent.\n"
    assert not Delivery.objects.exists()


def test_rolled_back(committed, ada, received):
    """What is rolled back is not sent."""
    committed(FIRST)
    with transaction.atomic():
        draw(ada)
        transaction.set_rollback(True)
    drain()
    assert received == []


def test_nothing_is_queued_by_default(committed, settings, ada):
    """Without BADGES_SIGNALS nothing is queued, and the command says so."""
    settings.BADGES_SIGNALS = False
    committed(FIRST)
    draw(ada)
    assert BadgeEvent.objects.count() == 1
    assert not Delivery.objects.exists()
    assert drain().startswith("BADGES_SIGNALS is not set")


def test_commit_order(committed, ada, bob, received):
    """An event of a transaction that commits after a later one has been sent is sent then."""
    committed(FIRST)
    with session() as slow:
        slow.execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [ada.pk])
        draw(bob)
        drain()
        assert received == [("awarded", "first", "bob")]
        slow.commit()
    drain()
    assert received == [("awarded", "first", "bob"), ("awarded", "first", "ada")]


def test_deleted_user(committed, execute, ada, bob, received):
    """Events of a deleted user leave the queue and hold up no other user."""
    committed(FIRST)
    draw(ada, bob)
    execute("DELETE FROM dummy_sketch")
    execute("DELETE FROM auth_user WHERE id = %s", [ada.pk])
    assert drain() == "1 event sent.\n"
    assert received == [("awarded", "first", "bob")]
    assert not Delivery.objects.exists()


def test_queue_is_gone(committed, execute, ada):
    """Where an event cannot be queued the badge is missed and recorded, and the write succeeds."""
    committed(FIRST)
    execute("ALTER TABLE badges_delivery RENAME TO elsewhere")
    try:
        draw(ada)
    finally:
        execute("ALTER TABLE elsewhere RENAME TO badges_delivery")
    assert execute("SELECT count(*) FROM dummy_sketch") == [(1,)]
    assert not ada.badges.exists()
    assert Failure.objects.get().sqlstate == "42P01"


def test_a_writer_does_not_wait_for_the_listener(committed, ada, receive):
    """While a receiver is at work, its user can earn, lose and be deleted."""
    committed(FIRST, MANY)

    def slow(event, user, **kwargs):
        with session(options="-c lock_timeout=60s") as other:
            other.execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [user.pk])
            other.execute("DELETE FROM badges_badge")
            other.execute("DELETE FROM dummy_sketch")
            other.execute("DELETE FROM auth_user")

    receive(slow)
    draw(ada)
    drain()
    assert not get_user_model().objects.exists()
    assert not Delivery.objects.exists()


# Quiet


def test_quiet_backfill(committed, execute, ada, received):
    """award_badges --quiet awards, leaves its events in the history, and sends no signals; later awards send them."""
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [ada.pk])
    committed(FIRST, entry("later", condition="NEW.hit_views >= 0"))
    run("award_badges", "first", "--quiet", "--yes")
    assert list(BadgeEvent.objects.values_list("code", "quiet")) == [("first", True)]
    run("award_badges", "later", "--yes")
    drain()
    assert received == [("awarded", "later", "ada")]


def test_quiet_installation(committed, badge_file, execute, ada, received):
    """create_badge_triggers --backfill --quiet does the same; the badge of a later write is sent."""
    execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [ada.pk])
    committed()
    badge_file(FIRST, MANY)
    run("create_badge_triggers", "--backfill", "--quiet", "--yes")
    assert ada.badges.count() == 1
    draw(ada)
    drain()
    assert received == [("awarded", "many", "ada")]


def test_quiet_in_sql(committed, execute, ada, received):
    """A transaction of the site's own can be quiet, and only that transaction."""
    committed(FIRST, MANY)
    with transaction.atomic():
        execute("SELECT set_config('badges.quiet', 'on', true)")
        draw(ada)
    draw(ada)
    drain()
    assert received == [("awarded", "many", "ada")]


# Receivers that fail


def test_retry_calls_only_who_raised(committed, ada, receive, received):
    """A receiver that raises is called again after a pause; the others are not, and the event goes after that."""
    committed(FIRST)
    calls = []

    def unsteady(event, **kwargs):
        calls.append(event.pk)
        if len(calls) == 1:
            raise ConnectionError("no route")

    receive(unsteady)
    draw(ada)
    with pytest.raises(CommandError) as caught:
        run("listen_badges", "--once")
    assert (str(caught.value), caught.value.returncode) == ("0 events sent, 1 attempt failed.", 1)
    waiting = Delivery.objects.get()
    assert waiting.attempts == 1
    assert "ConnectionError: no route" in waiting.error
    assert timedelta(0) < waiting.next_at - timezone.now() <= timedelta(seconds=dispatch.FIRST_PAUSE)
    drain()
    assert len(calls) == 1
    at_once()
    assert drain() == "1 event sent.\n"
    assert len(calls) == 2
    assert calls[0] == calls[1]
    assert received == [("awarded", "first", "ada")]


def test_order_of_a_user(committed, ada, bob, receive):
    """While an event waits for its next attempt, later events of its user wait, and those of other users do not."""
    committed(FIRST, MANY)
    found, fails = [], [True]

    def unsteady(event, user, **kwargs):
        if user == ada and fails[0]:
            raise ValueError
        found.append((user.username, event.code))

    receive(unsteady)
    draw(ada, ada, bob)
    drain()
    assert found == [("bob", "first")]
    fails[0] = False
    at_once()
    drain()
    assert found == [("bob", "first"), ("ada", "first"), ("ada", "many")]


def test_parking(committed, settings, ada, receive, received):
    """After the last attempt an event is parked with its error, later events proceed, the check reports it, and --retry
    lets it be tried again.
    """
    settings.BADGES_SIGNAL_ATTEMPTS = 2
    committed(FIRST, MANY)
    fails = [True]

    def faulty(event, **kwargs):
        if event.code == "first" and fails[0]:
            raise ValueError("no mailbox")

    receive(faulty)
    draw(ada, ada)
    for _ in range(2):
        drain()
        at_once()
    assert [(each.attempts, each.parked_at is None) for each in Delivery.objects.filter(event__code="first")] == [
        (2, False)
    ]
    assert received == [("awarded", "first", "ada"), ("awarded", "many", "ada")]
    call_command("check", "--database", "default", stderr=(errors := io.StringIO()))
    assert re.search(r"badges\.W010.*1 event.*no mailbox", errors.getvalue(), re.DOTALL)
    assert "listen_badges --retry" in errors.getvalue()
    fails[0] = False
    assert run("listen_badges", "--retry") == "1 event will be tried again.\n"
    drain()
    assert not Delivery.objects.exists()
    call_command("check", "--database", "default", stderr=(errors := io.StringIO()))
    assert "W010" not in errors.getvalue()


# Several listeners, crashes, stops


@pytest.fixture
def log(tmp_path):
    """The file into which the receiver of another process writes; while `hold` exists, it does not return."""
    return tmp_path / "received"


def lines(log):
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def start(log, *arguments, **settings):
    env = environment(log, BADGES_SIGNALS=True, BADGES_NOTIFY=True, **settings)
    return process(*MANAGE, "listen_badges", *arguments, env=env)


def test_woken_at_once(committed, log, ada):
    """A listener is notified of an event without waiting for its next poll."""
    committed(FIRST)
    with start(log, BADGES_POLL=3600) as running:
        assert running.stdout.readline() == 'Listening to the database "default".\n'
        eventually(lambda: listener.health("default").listeners)
        draw(ada)
        eventually(lambda: lines(log))


def test_polls_without_notify(committed, settings, log, ada):
    """Without NOTIFY, the listener polls."""
    settings.BADGES_NOTIFY = False
    committed(FIRST)
    with start(log, BADGES_POLL=0.1):
        eventually(lambda: listener.health("default").listeners)
        with session(autocommit=True) as ear:
            ear.execute("LISTEN badges")
            draw(ada)
            eventually(lambda: lines(log))
            assert list(ear.notifies(timeout=0)) == []


def test_killed_listener(committed, log, ada):
    """After kill -9 in the midst of an event, it is sent again, and what came meanwhile after it."""
    committed(FIRST, MANY)
    log.with_suffix(".wait").touch()
    draw(ada)
    with start(log) as killed:
        eventually(lambda: lines(log))
        killed.kill()
        killed.wait()
    draw(ada)
    log.with_suffix(".wait").unlink()
    with start(log, "--once") as second:
        assert "2 events sent" in second.communicate()[0]
    assert [(kind, code) for _, _, kind, code, _ in lines(log)] == [
        ("awarded", "first"), ("awarded", "first"), ("awarded", "many")
    ]  # fmt: skip
    assert lines(log)[0][-1] == lines(log)[1][-1]


def test_two_listeners(committed, execute, log):
    """Two listeners share the work, send each event once, and never out of order for a user."""
    committed(FIRST, MANY)
    users = get_user_model().objects.bulk_create(get_user_model()(username=f"u{n}") for n in range(40))
    for _ in range(2):
        draw(*users)
    log.with_suffix(".wait").touch()
    with start(log) as first, start(log) as second:
        # Both have begun, as the receiver of neither returns.
        eventually(lambda: len({pid for pid, *_ in lines(log)}) == 2)
        assert len({user for _, user, *_ in lines(log)}) == 2
        log.with_suffix(".wait").unlink()
        eventually(lambda: not Delivery.objects.exists())
        for each in (first, second):
            each.send_signal(signal.SIGTERM)
            each.wait(timeout=SECONDS)
    assert len(lines(log)) == len({line[-1] for line in lines(log)}) == 80
    for user in users:
        assert [code for _, key, _, code, _ in lines(log) if key == str(user.pk)] == ["first", "many"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop(committed, log, ada, bob, number):
    """On a signal the current event is finished, the next one stays queued, and the exit code is 0."""
    committed(FIRST)
    log.with_suffix(".wait").touch()
    draw(ada, bob)
    with start(log) as running:
        eventually(lambda: lines(log))
        running.send_signal(number)
        log.with_suffix(".wait").unlink()
        output = running.communicate(timeout=SECONDS)[0]
        assert running.returncode == 0, output
    assert output.endswith("1 event sent.\n")
    assert len(lines(log)) == 1
    assert Delivery.objects.count() == 1


def test_reconnects(committed, execute, log, ada):
    """A listener whose sessions the server has ended connects again."""
    committed(FIRST)
    with start(log):
        eventually(lambda: listener.health("default").listeners)
        execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        draw(ada)
        eventually(lambda: lines(log))


def test_settles(committed, log, ada):
    """A listener settles a pending check as soon as the other transaction has ended, and sends what comes of it."""
    committed(MANY)
    with start(log, BADGES_POLL=0.2), session() as one, session() as other:
        eventually(lambda: listener.health("default").listeners)
        for each in (one, other):
            each.execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [ada.pk])
        one.commit()
        other.commit()
        eventually(lambda: lines(log))
    assert not PendingCheck.objects.exists()


def test_pending_checks_notify(committed, ada):
    """Leaving a pending check wakes the listeners; a write that leaves and earns nothing does not."""
    committed(MANY)
    with session(autocommit=True) as ear, session() as one, session() as other:
        ear.execute("LISTEN badges")
        draw(ada)
        assert list(ear.notifies(timeout=0.2)) == []
        Delivery.objects.all().delete()
        for each in (one, other):
            each.execute("DELETE FROM dummy_sketch")
            each.rollback()
        bob = get_user_model().objects.create(username="bob")
        for each in (one, other):
            each.execute("INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')", [bob.pk])
        one.commit()
        other.commit()
        assert [each.payload for each in ear.notifies(timeout=SECONDS, stop_after=1)] == [""]


def test_prepared_transactions(committed, settings, ada):
    """By default a server that allows prepared transactions is not notified, so an award can be prepared; with
    BADGES_NOTIFY it cannot.
    """
    settings.BADGES_NOTIFY = None
    committed(FIRST)
    insert = "INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')"
    with session(autocommit=True) as writer:
        writer.execute("BEGIN")
        writer.execute(insert, [ada.pk])
        writer.execute("PREPARE TRANSACTION 'badges_test_signals'")
        writer.execute("COMMIT PREPARED 'badges_test_signals'")
        assert ada.badges.count() == 1
        settings.BADGES_NOTIFY = True
        run("create_badge_triggers")
        bob = get_user_model().objects.create(username="bob")
        writer.execute("BEGIN")
        writer.execute(insert, [bob.pk])
        with pytest.raises(psycopg.errors.FeatureNotSupported):
            writer.execute("PREPARE TRANSACTION 'badges_test_signals'")


# The probe


def test_probe(committed, monkeypatch, log, ada):
    """--check passes while a listener is connected and sends; not without one, nor if it sends nothing any more."""
    monkeypatch.setattr(listener, "OVERDUE", 0)
    monkeypatch.setattr(listener, "PATIENCE", 1)
    committed(FIRST)
    with pytest.raises(CommandError, match="listeners: 0; waiting: 0"):
        run("listen_badges", "--check")
    log.with_suffix(".wait").touch()
    with start(log):
        eventually(lambda: listener.health("default").listeners)
        assert run("listen_badges", "--check") == "listeners: 1; waiting: 0; parked: 0\n"
        draw(ada)
        with pytest.raises(CommandError, match="none sent in 1 s"):
            run("listen_badges", "--check")
        threading.Timer(0.2, log.with_suffix(".wait").unlink).start()
        assert run("listen_badges", "--check") == "listeners: 1; waiting: 0; parked: 0\n"
