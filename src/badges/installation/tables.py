"""What the app's tables have beside their columns: wanted, found, and the steps that restore it. Pure.

Django makes some of it again when it changes a table, and drops the rest for good: the foreign keys that cascade in the
database, for instance, when a migration changes the type of the users' key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from psycopg import sql

from badges.database import template, trusted
from badges.facts.types import Table, Target
from badges.installation.types import Action, InstalledTable, Reason, Step

_CONSTRAINTS = {
    "badges_badge": {"badges_badge_pkey": "PRIMARY KEY (id)"},
    "badges_badgedefinition": {"badges_badgedefinition_pkey": "PRIMARY KEY (code)"},
    "badges_badgeevent": {"badges_badgeevent_pkey": "PRIMARY KEY (id)"},
    "badges_delivery": {"badges_delivery_pkey": "PRIMARY KEY (event_id)"},
    "badges_failure": {"badges_failure_pkey": "PRIMARY KEY (id)"},
    "badges_pendingcheck": {
        "badges_pendingcheck_pkey": "PRIMARY KEY (id)",
        "badges_pendingcheck_key": "UNIQUE (user_id, code, thing, what, noted_by)",
    },
    "badges_secret": {
        "badges_secret_pkey": "PRIMARY KEY (is_only)",
        "badges_secret_is_only_check": "CHECK (is_only)",
    },
}
"""By table and name, as pg_get_constraintdef gives them. The foreign keys depend on the users: `_foreign_keys`."""

_INDEXES = {
    "badges_badge": {
        "badges_badge_code": "btree (code, awarded_at NULLS FIRST, user_id DESC)",
        "badges_badge_user_code": 'UNIQUE btree (user_id, code COLLATE "C", thing)',
    },
    "badges_badgeevent": {
        "badges_badgeevent_code_at": "btree (code, at)",
        "badges_badgeevent_order": "btree (transaction, at)",
        "badges_badgeevent_user_at": "btree (user_id, at)",
    },
    "badges_delivery": {
        "badges_delivery_of_user": "btree (user_id, at, event_id) WHERE (parked_at IS NULL)",
        "badges_delivery_order": "btree (at, event_id) WHERE (parked_at IS NULL)",
        "badges_delivery_parked": "btree (parked_at) WHERE (parked_at IS NOT NULL)",
    },
    "badges_failure": {"badges_failure_code": "btree (code, sqlstate)"},
    "badges_formerkey": {"badges_formerkey_former_key": "btree (former_key)"},
    "badges_pendingcheck": {
        "badges_pendingcheck_bucket": "btree (bucket, noted_by) WHERE (failed_at IS NULL)",
        "badges_pendingcheck_failed": "btree (bucket) WHERE (failed_at IS NOT NULL)",
    },
}
"""By table and name, as pg_get_indexdef ends; those of constraints are above."""

_DEFAULTS = {
    "badges_badge": {
        "id": "gen_random_uuid()",
        "awarded_at": "statement_timestamp()",
        "by_hand": "false",
        "thing": "''::text",
    },
    "badges_badgeevent": {
        "id": "gen_random_uuid()",
        "actor": "''::text",
        "at": "clock_timestamp()",
        "quiet": "false",
        "reason": "''::text",
        "rule": "''::text",
        "thing": "''::text",
        "transaction": "((pg_current_xact_id())::text)::bigint",
    },
    "badges_badgedefinition": {"time_zone": "''::text"},
    "badges_delivery": {
        "attempts": "0",
        "done": "'[]'::jsonb",
        "error": "''::text",
        "next_at": "statement_timestamp()",
    },
    "badges_failure": {
        "id": "gen_random_uuid()",
        "first_at": "statement_timestamp()",
        "last_at": "statement_timestamp()",
        "occurrences": "1",
        "tenant": "''::text",
    },
    "badges_overrun": {"at": "clock_timestamp()"},
    "badges_pendingcheck": {
        "id": "gen_random_uuid()",
        "noted_at": "statement_timestamp()",
        "noted_by": "((pg_current_xact_id())::text)::bigint",
        "thing": "''::text",
        "what": "''::text",
    },
    "badges_formerkey": {
        "at": "clock_timestamp()",
        "noted_by": "((pg_current_xact_id())::text)::bigint",
    },
    "badges_secret": {
        "is_only": "true",
        "secret": "((gen_random_uuid())::text || (gen_random_uuid())::text)",
    },
}
"""By table and column, as pg_get_expr gives them."""

_VACUUM = ("autovacuum_vacuum_scale_factor=0", "autovacuum_vacuum_threshold=1000")
"""Options of the pending checks, unless the site has chosen others; their number says nothing about dead rows."""

_UNIQUE = {
    "badges_badge_user_code": ("user_id", "code", "thing"),
    "badges_pendingcheck_key": ("user_id", "code", "thing", "what", "noted_by"),
}
"""The columns of what is unique: rows that are there twice by now are alike."""


@dataclasses.dataclass(frozen=True, slots=True)
class _ForeignKey:
    table: Table
    name: str
    column: str
    references: Table
    key: str
    rest: str
    repair: sql.Composed
    """The statement after which no row is without what it references."""
    reason: str
    """What that does."""

    @property
    def definition(self) -> str:
        """As `tables.sql` gives it."""
        return f"FOREIGN KEY ({self.column}) REFERENCES {self.references.oid} ({self.key}){self.rest}"

    @property
    def statement(self) -> sql.Composed:
        return sql.SQL("FOREIGN KEY ({}) REFERENCES {} ({}){}").format(
            sql.Identifier(self.column), self.references.identifier, sql.Identifier(self.key), trusted(self.rest)
        )


def of_app(target: Target) -> tuple[Table, ...]:
    """The tables that are compared."""
    return (
        target.badges,
        target.definitions,
        target.pending,
        target.failures,
        target.events,
        target.deliveries,
        target.secret,
        target.former_keys,
        target.overruns,
    )


def steps(target: Target, installed: Mapping[int, InstalledTable]) -> Iterator[Step]:
    """The steps that restore what is missing or differs: first types, then indexes, then what needs them.

    :param installed: what is found, by the oid of the table.
    """
    found = [(table, installed[table.oid]) for table in of_app(target)]
    for table, has in found:
        yield from _types(table, has)
        yield from _defaults(table, has)
        yield from _options(target, table, has)
    for table, has in found:
        yield from _constraints(table, has)
        yield from _indexes(table, has)
    for key in _foreign_keys(target):
        yield from _foreign_key(key, installed[key.table.oid])
    yield from _secret(target, installed[target.secret.oid])


def _types(table: Table, has: InstalledTable) -> Iterator[Step]:
    """The users of badges are identified by the type of the users' key; Django's own migrations see to that as well."""
    if has.misfits:
        yield _step(
            f"type of {table.qualified_name}.user_id",
            f"the users' key is {has.key_type}",
            table,
            sql.SQL("ALTER TABLE {} ALTER COLUMN user_id TYPE {}").format(table.identifier, trusted(has.key_type)),
            lock="ACCESS EXCLUSIVE",
            is_long=True,
        )


def _defaults(table: Table, has: InstalledTable) -> Iterator[Step]:
    for column, expression in _DEFAULTS.get(table.name, {}).items():
        if (old := has.defaults.get(column)) != expression:
            yield _step(
                f"default of {table.qualified_name}.{column}",
                Reason.CHANGED if old else Reason.MISSING,
                table,
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}").format(
                    table.identifier, sql.Identifier(column), trusted(expression)
                ),
                lock="ACCESS EXCLUSIVE",
            )


def _options(target: Target, table: Table, has: InstalledTable) -> Iterator[Step]:
    names = {option.split("=")[0] for option in has.options}
    missing = [option for option in _VACUUM if option.split("=")[0] not in names]
    if table == target.pending and missing:
        yield _step(
            f"options of {table.qualified_name}",
            Reason.MISSING,
            table,
            sql.SQL("ALTER TABLE {} SET ({})").format(table.identifier, trusted(", ".join(missing))),
            lock="SHARE UPDATE EXCLUSIVE",
        )


def _constraints(table: Table, has: InstalledTable) -> Iterator[Step]:
    for name, definition in _CONSTRAINTS.get(table.name, {}).items():
        if definition not in has.constraints.values():
            is_there = name in has.constraints
            yield _step(
                f"constraint {name} on {table.qualified_name}",
                Reason.CHANGED if is_there else Reason.MISSING,
                table,
                *_without_duplicates(table, name),
                sql.SQL("ALTER TABLE {} {}ADD CONSTRAINT {} {}").format(
                    table.identifier,
                    _drop(name) if is_there else sql.SQL(""),
                    sql.Identifier(name),
                    trusted(definition),
                ),
                lock="ACCESS EXCLUSIVE",
                is_long=True,
            )


def _indexes(table: Table, has: InstalledTable) -> Iterator[Step]:
    for name, definition in _INDEXES.get(table.name, {}).items():
        if definition not in has.indexes.values():
            is_there = name in has.indexes
            unique, _, method = definition.rpartition("btree ")
            drop = [sql.SQL("DROP INDEX {}").format(sql.Identifier(table.schema, name))] if is_there else []
            yield _step(
                f"index {name} on {table.qualified_name}",
                Reason.CHANGED if is_there else Reason.MISSING,
                table,
                *drop,
                *_without_duplicates(table, name),
                sql.SQL("CREATE {}INDEX {} ON {} {}").format(
                    trusted(unique), sql.Identifier(name), table.identifier, trusted(f"USING btree {method}")
                ),
                lock="ACCESS EXCLUSIVE" if is_there else "SHARE",
                is_long=True,
            )


def _without_duplicates(table: Table, name: str) -> list[sql.Composed]:
    """The statement that makes room for what is unique."""
    same = [sql.SQL("kept.{0} = extra.{0}").format(sql.Identifier(column)) for column in _UNIQUE.get(name, ())]
    if not same:
        return []
    # No trigger of the site may add more before the index is there.
    return [
        sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(table.identifier),
        template("installation/delete_duplicates.sql").format(table=table.identifier, same=sql.SQL(" AND ").join(same)),
    ]


def _foreign_keys(target: Target) -> Iterator[_ForeignKey]:
    """Checked at once, so that the deletion of a user makes a concurrent award fail and not the COMMIT of its write.

    Those of users are deferrable, as loaddata may insert a badge or an event before its user.
    """
    users, key = target.users, target.user_key.name
    for table in (target.badges, target.events):
        yield _ForeignKey(
            table,
            f"{table.name}_user_id_fk",
            "user_id",
            users,
            key,
            " ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE",
            template("installation/delete_orphans.sql").format(
                table=table.identifier, users=users.identifier, user_key=sql.Identifier(key)
            ),
            "not validated yet: the rows of users who are gone are deleted",
        )
    yield _ForeignKey(
        target.badges,
        f"{target.badges.name}_code_fk",
        "code",
        target.definitions,
        "code",
        "",
        template("installation/lost_definitions.sql").format(
            badges=target.badges.identifier, definitions=target.definitions.identifier
        ),
        "not validated yet: badges without a definition get a retired one",
    )


def _foreign_key(key: _ForeignKey, has: InstalledTable) -> Iterator[Step]:
    """A key that is missing counts for new rows first, and is validated later: so it locks both tables for a moment.

    Where it leads to another table, such as that of an earlier user model, nothing is deleted: rows without a user of
    this one are an error.
    """
    table, place = key.table, f"foreign key {key.name} on {key.table.qualified_name}"
    alike = [name for name, definition in has.constraints.items() if definition == key.definition]
    is_there = key.name in has.constraints
    leads_elsewhere = is_there and f" REFERENCES {key.references.oid} " not in has.constraints[key.name]
    if not alike:
        add = _step(
            place,
            Reason.CHANGED if is_there else Reason.MISSING,
            table,
            sql.SQL("ALTER TABLE {} {}ADD CONSTRAINT {} {}{}").format(
                table.identifier,
                _drop(key.name) if is_there else sql.SQL(""),
                sql.Identifier(key.name),
                key.statement,
                sql.SQL("" if leads_elsewhere else " NOT VALID"),
            ),
            lock="ACCESS EXCLUSIVE" if is_there else "SHARE ROW EXCLUSIVE",
            is_long=leads_elsewhere,
        )
        yield dataclasses.replace(
            add,
            lock=f"{add.lock}; SHARE ROW EXCLUSIVE on {key.references.qualified_name}, whose writers wait as well",
            further_tables=(key.references.qualified_name,),
            needs=f"{add.needs} and REFERENCES on {key.references.qualified_name}",
        )
    if has.not_valid.issuperset(alike) and not (leads_elsewhere and not alike):
        name = alike[0] if alike else key.name
        yield dataclasses.replace(
            _step(
                place,
                key.reason,
                table,
                key.repair,
                sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(table.identifier, sql.Identifier(name)),
                lock="SHARE UPDATE EXCLUSIVE",
                is_long=True,
            ),
            action=Action.VALIDATE,
        )


def _drop(name: str) -> sql.Composed:
    return sql.SQL("DROP CONSTRAINT {}, ").format(sql.Identifier(name))


def _secret(target: Target, has: InstalledTable) -> Iterator[Step]:
    if has.lacks_row:
        table = target.secret
        statement = sql.SQL("INSERT INTO {} DEFAULT VALUES").format(table.identifier)
        yield _step(f"row of {table.qualified_name}", Reason.MISSING, table, statement, lock="ROW EXCLUSIVE")


_WAITING = {
    "ROW EXCLUSIVE": "neither readers nor writers wait for it",
    "SHARE UPDATE EXCLUSIVE": "neither readers nor writers wait for it",
    "SHARE": "waits for writers, and writers wait for it; readers do not wait",
    "SHARE ROW EXCLUSIVE": "waits for writers, and writers wait for it; readers do not wait",
    "ACCESS EXCLUSIVE": "waits for readers and writers, and they wait for it",
}


def _step(target: str, reason: str, table: Table, *statements: sql.Composed, lock: str, is_long: bool = False) -> Step:
    """Restore something.

    :param lock: the lock on the table, by PostgreSQL's name.
    :param is_long: it is held for as long as PostgreSQL needs to go through the table.
    """
    how_long = "as long as going through the table takes" if is_long else "for a moment"
    return Step(
        Action.RESTORE,
        target,
        reason,
        f"{lock} on {table.qualified_name}, {how_long}: {_WAITING[lock]}",
        statements,
        f"ownership of {table.qualified_name}",
        table.qualified_name,
        is_alone=True,
    )
