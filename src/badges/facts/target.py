"""Target: the schemas, tables, roles and settings that all definitions of a database share. Takes a connection."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.backends.base.base import BaseDatabaseWrapper

from badges import exceptions
from badges.conf import badges_settings
from badges.database import fetch, in_transaction
from badges.facts import session
from badges.facts.tables import identified_tables
from badges.facts.types import FOLLOW_USER, Target

SECRET = "badges_secret"  # noqa: S105 - a name
"""The table of the secret that signs what the functions remember in a transaction."""

FORMER_KEYS = "badges_formerkey"
"""The table of the keys that users had a moment ago."""

OVERRUNS = "badges_overrun"
"""The table of evaluations that took longer than BADGES_BUDGET."""


_trusted: ContextVar[frozenset[str]] = ContextVar("_trusted", default=frozenset())


@contextlib.contextmanager
def trusting(roles: Iterable[str]) -> Iterator[None]:
    """A block in which these roles are trusted beside those of BADGES_TRUST."""
    token = _trusted.set(_trusted.get() | frozenset(roles))
    try:
        yield
    finally:
        _trusted.reset(token)


@in_transaction
def describe_target(connection: BaseDatabaseWrapper) -> Target:
    """Look up the site's tables.

    :raises NotMigrated: the tables of the app "badges" or of the users are missing.
    """
    from badges.models import (  # noqa: PLC0415 - models need apps
        Badge,
        BadgeDefinition,
        BadgeEvent,
        Delivery,
        Failure,
        PendingCheck,
    )

    [(database, role, search_path, own_schema, has_citus)] = fetch(
        connection,
        """
        SELECT current_database(), current_user,
               (SELECT coalesce(string_agg(quote_ident(schema), ', ' ORDER BY place), '')
                FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (schema, place)
                WHERE schema !~ '^pg_temp_'),
               (SELECT schema FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (schema, place)
                WHERE schema !~ '^pg_' ORDER BY place LIMIT 1),
               to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL
        """,
    )
    managed = fetch(connection, "SELECT logicalrelid::oid::bigint FROM pg_dist_partition") if has_citus else []
    citus_tables = frozenset(oid for (oid,) in managed)
    user_meta = get_user_model()._meta
    models = (Badge, BadgeDefinition, PendingCheck, Failure, BadgeEvent, Delivery, get_user_model())
    # Django's own quoting, as db_table may hold a quoted schema and name.
    identifiers = {model._meta.db_table: connection.ops.quote_name(model._meta.db_table) for model in models}
    # Without a model, as no code of the site has any use for it.
    for name in (SECRET, FORMER_KEYS, OVERRUNS):
        identifiers[name] = connection.ops.quote_name(name)
    tables = identified_tables(connection, list(identifiers.values()))
    for name, identifier in identifiers.items():
        if identifier not in tables:
            raise exceptions.NotMigrated(
                f'The table {name} is missing in the database "{connection.alias}". '
                "Run `python manage.py migrate` first."
            )
    badges, definitions, pending, failures, events, deliveries, users, secret, former_keys, overruns = (
        tables[each] for each in identifiers.values()
    )
    for table, latest in ((badges, "thing"), (failures, "tenant")):
        if table.column(latest) is None:
            raise exceptions.NotMigrated(
                f"The table {table.name} is still that of an earlier version. "
                "Run `python manage.py migrate badges` first."
            )
    pk = user_meta.pk
    user_key = users.column(pk.column) if pk is not None and pk.column else None
    if user_key is None:
        raise exceptions.NotMigrated(f"The table {users.qualified_name} lacks the key of {user_meta.label}.")
    [
        (
            owner,
            reads_users,
            locks_users,
            reads_definitions,
            reads_secret,
            keeps_former_keys,
            keeps_overruns,
            writes_events,
            writes_deliveries,
            can_create_temporary,
            can_follow_keys,
        )
    ] = fetch(
        connection,
        """
        SELECT pg_get_userbyid(relowner),
               has_column_privilege(relowner, %s::oid, %s, 'SELECT'),
               has_any_column_privilege(relowner, %s::oid, 'UPDATE'),
               has_table_privilege(relowner, %s::oid, 'SELECT'),
               has_table_privilege(relowner, %s::oid, 'SELECT'),
               (SELECT bool_and(has_table_privilege(c.relowner, %s::oid, verb))
                FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS verb),
               (SELECT bool_and(has_table_privilege(c.relowner, %s::oid, verb))
                FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS verb),
               has_table_privilege(relowner, %s::oid, 'SELECT') AND has_table_privilege(relowner, %s::oid, 'INSERT'),
               has_table_privilege(relowner, %s::oid, 'INSERT'),
               has_database_privilege(current_database(), 'TEMPORARY'),
               has_table_privilege(%s::oid, 'TRIGGER')
                   OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = %s AND starts_with(tgname, %s))
        FROM pg_class AS c WHERE oid = %s
        """,
        [
            users.oid,
            user_key.name,
            users.oid,
            definitions.oid,
            secret.oid,
            former_keys.oid,
            overruns.oid,
            events.oid,
            events.oid,
            deliveries.oid,
            users.oid,
            users.oid,
            FOLLOW_USER,
            badges.oid,
        ],
    )
    return Target(
        database=database,
        role=role,
        search_path=search_path,
        own_schema=own_schema or badges.schema,
        badges=badges,
        definitions=definitions,
        pending=pending,
        failures=failures,
        events=events,
        deliveries=deliveries,
        secret=secret,
        former_keys=former_keys,
        overruns=overruns,
        users=users,
        user_key=user_key,
        badges_owner=owner,
        owner_reads_users=reads_users,
        owner_locks_users=locks_users,
        owner_reads_definitions=reads_definitions,
        owner_reads_secret=reads_secret,
        owner_keeps_former_keys=keeps_former_keys,
        owner_keeps_overruns=keeps_overruns,
        owner_writes_events=writes_events,
        owner_writes_deliveries=writes_deliveries,
        follows_keys=can_follow_keys and users.oid not in citus_tables,
        can_create_temporary=can_create_temporary,
        trusted_roles=badges_settings.BADGES_TRUST | _trusted.get(),
        citus_tables=citus_tables,
        wait=badges_settings.BADGES_WAIT,
        budget=badges_settings.BADGES_BUDGET or 0,
        buckets=badges_settings.BADGES_BUCKETS,
        notifies=badges_settings.BADGES_NOTIFY,
        sends_signals=badges_settings.BADGES_SIGNALS,
        is_subscriber=connection.alias in badges_settings.BADGES_SUBSCRIBERS,
        settings=_settings(connection),
    )


def _settings(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """The values that are pinned of the settings which can change the meaning of a condition."""
    of_database = dict(
        fetch(
            connection,
            "SELECT name, reset_val FROM pg_settings WHERE name = ANY (%s)",
            [[session.ZONE, *session.OF_DATABASE]],
        )
    )
    zone = badges_settings.BADGES_TIME_ZONE or settings.TIME_ZONE or of_database[session.ZONE]
    return dict(sorted({**of_database, **session.CONSTANT, session.ZONE: zone}.items()))
