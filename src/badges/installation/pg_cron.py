"""The job of pg_cron that calls `badges_catch_up()`: installed, wanted, and the steps between. Takes a connection."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.conf import badges_settings
from badges.database import fetch, fetch_file, qualified
from badges.facts.types import Target
from badges.functions import catch_up
from badges.functions.types import Compiled
from badges.installation.types import NO_LOCK, Action, Finding, Reason, Step

HOURLY = "0 * * * *"


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """A row of cron.job."""

    id: int
    schedule: str
    command: str
    role: str
    """As whom it runs."""
    is_active: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Cron:
    """What the role sees of pg_cron in this database."""

    is_installed: bool
    jobs: tuple[Job, ...] = ()
    """The jobs of our name, the role's own first. Also empty if the role lacks SELECT on cron.job."""


def look(connection: BaseDatabaseWrapper, target: Target) -> Cron:
    query = """
        SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
        FROM pg_extension e JOIN pg_namespace n ON n.nspname = 'cron' JOIN pg_class c ON c.relnamespace = n.oid
        WHERE e.extname = 'pg_cron' AND c.relname = 'job'
        """
    match fetch(connection, query):
        case [(True,)]:
            rows = fetch_file(connection, "installation/cron_jobs.sql", name=job_name(target))
            return Cron(is_installed=True, jobs=tuple(Job(*row) for row in rows))
        case rows:
            return Cron(is_installed=bool(rows))


def job_name(target: Target) -> str:
    """One job for each schema with badges, as each has a function of its own."""
    return "django-pg-badges" if target.own_schema == "public" else f"django-pg-badges in {target.own_schema}"


def command(target: Target) -> str:
    return f"SELECT {qualified(target.own_schema, catch_up.NAME).as_string()}()"


def steps(target: Target, wanted: Compiled, cron: Cron) -> Iterator[Step]:
    """The steps that bring the job in sync with the setting BADGES_PG_CRON and the badges."""
    if not cron.is_installed:
        return
    is_needed = _is_needed(wanted)
    schedule = badges_settings.BADGES_PG_CRON if is_needed else None
    kept = _kept(target, cron.jobs, schedule) if schedule else None
    for job in cron.jobs:
        if job is not kept:
            statement = sql.SQL("SELECT cron.unschedule({})").format(sql.Literal(job.id))
            yield _step(target, Action.UNSCHEDULE_JOB, _why_unwanted(job, schedule, kept, is_needed), statement)
    if schedule and not (kept and _is_in_sync(target, kept, schedule)):
        # Of a job of the role's own under this name, it changes schedule and command, and whether it is active stays.
        statement = sql.SQL("SELECT cron.schedule({}, {}, {})").format(
            sql.Literal(job_name(target)), sql.Literal(schedule), sql.Literal(command(target))
        )
        yield _step(target, Action.SCHEDULE_JOB, f"{_why_scheduled(kept, schedule)}: {schedule}", statement)


def _why_unwanted(job: Job, schedule: str | None, kept: Job | None, is_needed: bool) -> str:
    if not is_needed:
        return "no badge needs catch-up any more"
    if not schedule:
        return "BADGES_PG_CRON is not set"
    return "there is another one" if kept else f"it runs as {job.role}"


def _why_scheduled(kept: Job | None, schedule: str) -> str:
    if kept is None:
        return Reason.NEW
    return "schedule changed" if kept.schedule != schedule else Reason.CHANGED


def find(connection: BaseDatabaseWrapper, target: Target, wanted: Compiled, cron: Cron) -> Iterator[Finding]:
    """Why badges that need catch-up do not get it, though BADGES_PG_CRON is set."""
    schedule = badges_settings.BADGES_PG_CRON
    if not schedule or not _is_needed(wanted):
        return
    if not cron.is_installed:
        yield Finding(
            f'BADGES_PG_CRON is set, and the database "{target.database}" does not have the extension pg_cron: nothing '
            "calls badges_catch_up().",
            "CREATE EXTENSION pg_cron; as a superuser, where shared_preload_libraries and cron.database_name name it "
            "and this database, then create_badge_triggers. Or leave the setting out, and use a crontab: "
            f"{crontab_line(connection.alias, schedule)}",
            id="badges.W009",
        )
    for job in cron.jobs:
        if not job.is_active:
            yield Finding(
                f"The job {job.id} of pg_cron, {job_name(target)}, is not active: nothing calls badges_catch_up().",
                f"SELECT cron.alter_job({job.id}, active := true);",
                id="badges.W009",
            )


def crontab_line(alias: str, schedule: str = HOURLY) -> str:
    """The line of a crontab for all badges that need catch-up; % ends a command there."""
    options = [] if alias == "default" else ["--database", alias]
    line = shlex.join(["python", "manage.py", "award_badges", "--late", *options]).replace("%", r"\%")
    # pg_cron knows seconds, which a crontab does not.
    return f"{schedule if len(schedule.split()) == 5 else '* * * * *'} cd /path/to/site && {line}"


def _is_needed(wanted: Compiled) -> bool:
    return any(routine.name == catch_up.NAME for routine in wanted.routines)


def _kept(target: Target, jobs: Sequence[Job], schedule: str) -> Job | None:
    """The job that is in sync, under whichever role; or else the role's own, which can be changed."""
    in_sync = [job for job in jobs if _is_in_sync(target, job, schedule)]
    return next(iter([*in_sync, *(job for job in jobs if job.role == target.role)]), None)


def _is_in_sync(target: Target, job: Job, schedule: str) -> bool:
    return (job.schedule, job.command) == (schedule, command(target))


def _step(target: Target, action: Action, reason: str, statement: sql.Composed) -> Step:
    grant = sql.SQL("GRANT USAGE ON SCHEMA cron TO {}").format(sql.Identifier(target.role)).as_string()
    needs = f"USAGE on the schema cron, and EXECUTE on its functions ({grant})"
    return Step(action, job_name(target), reason, NO_LOCK, (statement,), needs)
