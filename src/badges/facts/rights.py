"""Rights: what the roles of the database must be allowed to do for any badge. Pure."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

from psycopg import sql

from badges.database import trusted
from badges.definitions.errors import Errors
from badges.facts.types import Table, Target

_NAMED = 5
"""Objects that a message names at most."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reach:
    """How another role could act with the rights of the owner of the badges."""

    role: str
    """PUBLIC stands for all roles."""
    how: str
    """What it does with the objects: that it owns them, or may create others in them."""
    objects: tuple[str, ...]
    """Each with its kind, such as "table public.dummy_sketch"."""


def check(errors: Errors, target: Target) -> None:
    """Check the rights that all badges need, whatever they declare."""
    database = errors.at(f'database "{target.database}"')
    if not target.definitions.can_select:
        database.add(
            f'the role "{target.role}" may not read {target.definitions.qualified_name}.',
            f"Needed: {grant('SELECT, INSERT, UPDATE', target.definitions, target.role)}",
        )
    for is_allowed, verb, privilege, table in (
        (target.owner_reads_users, "read", "SELECT", target.users),
        (target.owner_reads_definitions, "read", "SELECT", target.definitions),
        (target.owner_reads_secret, "read", "SELECT", target.secret),
        (target.owner_keeps_former_keys, "write", "SELECT, INSERT, UPDATE, DELETE", target.former_keys),
        (target.owner_keeps_overruns, "write", "SELECT, INSERT, UPDATE, DELETE", target.overruns),
        (target.owner_writes_events, "write", "SELECT, INSERT", target.events),
        (target.owner_writes_deliveries or not target.sends_signals, "write", "INSERT", target.deliveries),
    ):
        if not is_allowed:
            database.add(
                f'the owner of the badges, "{target.badges_owner}", may not {verb} {table.qualified_name}.',
                f"Needed: {grant(privilege, table, target.badges_owner)}",
            )
    for table in (target.badges, target.events, target.pending, target.failures, target.definitions, target.users):
        if table.oid in target.citus_tables:
            database.add(f"Citus manages {table.qualified_name}, and badges are not awarded there.", citus_hint(table))
    if not target.can_create_temporary:
        identifiers = map(sql.Identifier, (target.database, target.role))
        statement = sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {};").format(*identifiers)
        database.add(
            f'the role "{target.role}" may not create the temporary tables on which conditions are tried.',
            f"Needed: {statement.as_string()}",
        )


def check_owners(errors: Errors, target: Target, found: Iterable[Reach]) -> None:
    """Check that no other role could act with the rights of the owner of the badges."""
    for role, of_role in itertools.groupby(found, key=lambda each: each.role):
        reasons = [f"it {each.how} {_listed(each.objects)}" for each in of_role]
        who = "each role that may log in" if role == "PUBLIC" else f'the role "{role}"'
        hints = [
            f'Let "{target.badges_owner}" own them, or let the owner of the tables own the badges; or trust the role:',
            f"--trust {role}, or the setting BADGES_TRUST. See docs/security.md.",
        ]
        errors.at(f'database "{target.database}"').add(
            f'{who} could act with the rights of the owner of the badges, "{target.badges_owner}": '
            f"{'; '.join(reasons)}.",
            " ".join(hints),
        )


def _listed(objects: Sequence[str]) -> str:
    more = f" and {len(objects) - _NAMED:,} more" if len(objects) > _NAMED else ""
    return f"{', '.join(objects[:_NAMED])}{more}"


def citus_hint(table: Table) -> str:
    """What takes a table out of the hands of Citus."""
    name = sql.Literal(table.identifier.as_string()).as_string()
    return f"Needed: SELECT undistribute_table({name}, cascade_via_foreign_keys => true);"


def grant(privilege: str, table: Table, role: str) -> str:
    """The statement that gives a role a privilege on a table."""
    statement = sql.SQL("GRANT {} ON {} TO {};")
    return statement.format(trusted(privilege), table.identifier, sql.Identifier(role)).as_string()
