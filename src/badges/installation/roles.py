"""Roles and their rights, as far as the badges depend on them. Takes a connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch, fetch_file, qualified
from badges.facts.types import Target
from badges.installation.types import Finding


def open_schemas(connection: BaseDatabaseWrapper, target: Target) -> tuple[str, ...]:
    """The schemas on the path of the generated functions in which every role may create functions and operators."""
    # The path of the functions is that of this session.
    rows = fetch(
        connection,
        """
        SELECT schema
        FROM unnest(array_append(current_schemas(false), %s::name)) WITH ORDINALITY AS path (schema, place)
        WHERE has_schema_privilege('public', schema::text, 'CREATE') AND schema !~ '^pg_temp_'
        GROUP BY schema ORDER BY min(place)
        """,
        [target.schema],
    )
    return tuple(schema for (schema,) in rows)


def default_executors(connection: BaseDatabaseWrapper, target: Target) -> tuple[str, ...]:
    """The roles that ALTER DEFAULT PRIVILEGES lets execute what this role creates in the schema of the functions."""
    rows = fetch(
        connection,
        """
        SELECT DISTINCT pg_get_userbyid(acl.grantee)
        FROM pg_default_acl d
        CROSS JOIN LATERAL aclexplode(d.defaclacl) AS acl
        WHERE d.defaclobjtype = 'f' AND d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
          AND d.defaclnamespace IN (SELECT 0 UNION SELECT oid FROM pg_namespace WHERE nspname = ANY (%s))
          AND acl.grantee NOT IN (0, d.defaclrole)
        ORDER BY 1
        """,
        [[target.schema, target.own_schema]],
    )
    return tuple(role for (role,) in rows)


def hidden_tables(connection: BaseDatabaseWrapper, role: str, tables: Iterable[str]) -> tuple[str, ...]:
    """Those of the tables, each as schema.table, of which row-level security may hide rows from a role."""
    return tuple(
        name
        for (name,) in fetch_file(connection, "installation/hidden_tables.sql", role=role, tables=sorted(set(tables)))
    )


def readers_of_secret(connection: BaseDatabaseWrapper, target: Target) -> tuple[str, ...]:
    """The roles beside the owner of the badges that were given a right on the secret, by default privileges perhaps."""
    rows = fetch(
        connection,
        """
        SELECT DISTINCT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(acl.grantee)::text END
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
        WHERE c.oid = %s AND acl.grantee <> c.relowner AND pg_get_userbyid(acl.grantee) <> %s
        ORDER BY 1
        """,
        [target.secret.oid, target.badges_owner],
    )
    return tuple(role for (role,) in rows)


def find(
    target: Target, open_schemas: Sequence[str], hidden_tables: Sequence[str], readers: Sequence[str]
) -> Iterator[Finding]:
    """What makes the badges less safe or less exact than they could be.

    :param open_schemas: schemas on the path of the functions in which every role may create objects.
    :param hidden_tables: tables, as schema.table, of which row-level security may hide rows from the badges' owner.
    :param readers: roles that have a right on the secret.
    """
    for role in readers:
        grantee = sql.SQL("PUBLIC") if role == "PUBLIC" else sql.Identifier(role)
        who = "Every role" if role == "PUBLIC" else f'The role "{role}"'
        yield Finding(
            f"{who} has a right on {target.secret.qualified_name}: with the secret it can falsify the history.",
            sql.SQL("REVOKE ALL ON {} FROM {};").format(target.secret.identifier, grantee).as_string(),
            id="badges.W014",
        )
    for schema in open_schemas:
        revoke = sql.SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC;").format(sql.Identifier(schema))
        yield Finding(
            f'Every role may create functions and operators in the schema "{schema}", which the conditions '
            f'search: planted ones would run with the privileges of "{target.badges_owner}".',
            revoke.as_string(),
            id="badges.W007",
        )
    for table in hidden_tables:
        policy = sql.SQL("CREATE POLICY badges ON {} FOR SELECT TO {} USING (true);").format(
            qualified(*table.split(".", 1)), sql.Identifier(target.badges_owner)
        )
        yield Finding(
            f'The row-level security of {table} may hide rows from "{target.badges_owner}", with whose rights badges '
            "are awarded: conditions do not see those rows.",
            f"{policy.as_string()} Or give the role BYPASSRLS.",
            id="badges.W008",
        )
    if not target.follows_keys and target.users.oid not in target.citus_tables:
        grant = sql.SQL("GRANT TRIGGER ON {} TO {};").format(target.users.identifier, sql.Identifier(target.role))
        yield Finding(
            f'The role "{target.role}" may not make a trigger on {target.users.qualified_name}: the pending checks of '
            "a user whose key changes do not follow, and badges may be missed.",
            f"{grant.as_string()} Then run `python manage.py create_badge_triggers`.",
            id="badges.W015",
        )
