"""The runtime functions: those that do not depend on any badge. Pure."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from psycopg import sql

from badges.database import qualified, template, trusted
from badges.facts.session import ZONE
from badges.facts.types import INTEGERS, Target
from badges.functions.types import ORIGIN, Routine, dollar_quoted, text_of

ADVISORY_LOCK_CLASS = 0x62616467
"""First key of the advisory locks on buckets of users ("badg"); the second is the bucket."""

DEEPEST = 5
"""The trigger depth up to which locks count: where conditions read badges, awards could oscillate without end."""

RUNTIME = (
    "seal",
    "sealed",
    "check_keys_at_once",
    "wait",
    "deferred",
    "note_overrun",
    "note_slow",
    "defer",
    "resume",
    "beside",
    "move_checks",
    "note_key",
    "follow",
    "note_failure",
    "note_misplaced",
    "same_types",
    "check_in",
    "user_in",
    "stored",
    "shortened",
    "record_parts",
    "record",
    "postpone",
    "one_by_one",
    "settle_locked",
    "settle",
    "award",
    "revoke",
    "erase",
    "merge",
    "rename",
    "keep_events",
)
"""The functions in `sql/runtime/`, each in a file of its name."""

_USERS = {
    "settle_locked": "pending.user_id",
    "award": "awarded_user",
    "revoke": "revoked_user",
    "erase": "erased_user",
    "move_checks": "moved_user",
}
"""What those functions call the user whose bucket they need."""

_LONG_TEXTS = {"shortened": "each.text", "stored": "long.text"}
"""What those functions call a value that is too long to be stored."""


def routine(target: Target, name: str, file: str, schema: str = "", /, **placeholders: sql.Composable) -> Routine:
    """The function `name` as the statement in `sql/<file>` creates it.

    :param schema: by default that of the functions that do not depend on any badge.
    """
    schema = schema or target.schema
    created = template(file).format(function=qualified(schema, name), origin=trusted(ORIGIN), **placeholders)
    return Routine(schema, name, target.badges_owner, created.as_string())


def generated_routine(
    target: Target,
    name: str,
    file: str,
    body: str,
    settings: sql.Composable,
    codes: Sequence[str] = (),
    **placeholders: sql.Composable,
) -> Routine:
    """The function `name` as `sql/<file>` creates it around the body in `sql/<body>`, which depends on the badges.

    :param settings: its further SET clauses.
    :param codes: the badges that its comment lists.
    """
    key = trusted(target.user_key.type)
    around = routine(
        target,
        name,
        file,
        target.own_schema,
        key=key,
        search_path=trusted(target.function_search_path),
        timeout=sql.Literal(f"{target.wait}ms"),
        settings=settings,
        body=dollar_quoted(template(body).format(origin=trusted(ORIGIN), key=key, **placeholders)),
    )
    return dataclasses.replace(around, codes=tuple(codes))


@functools.lru_cache(maxsize=8)
def routines(target: Target) -> tuple[Routine, ...]:
    """The functions in `sql/runtime/`, in an order in which each can be created."""
    return tuple(
        routine(target, f"badges_{name}", f"runtime/{name}.sql", **placeholders(target, name)) for name in RUNTIME
    )


def placeholders(target: Target, name: str) -> dict[str, sql.Composable]:
    """The placeholders of the runtime functions' SQL: tables, settings and the other functions."""
    return {
        "badges": target.badges.identifier,
        "pending": target.pending.identifier,
        "failures": target.failures.identifier,
        "definitions": target.definitions.identifier,
        "events": target.events.identifier,
        "deliveries": target.deliveries.identifier,
        "secret": target.secret.identifier,
        "former_keys": target.former_keys.identifier,
        "overruns": target.overruns.identifier,
        "budget": sql.Literal(target.budget),
        "due": due(target),
        "is_impatient": is_impatient(target),
        "is_rewriting": remembers(target, "rewriting"),
        "until_unused": sql.SQL(" FOR UPDATE" if target.owner_locks_users else ""),
        "users": target.users.identifier,
        "user_key": sql.Identifier(target.user_key.name),
        "key": trusted(target.user_key.type),
        "expires_at": sql.SQL(
            "(SELECT statement_timestamp() + nullif(d.expires_after, '')::interval\n"
            " FROM {} AS d WHERE d.code = found.code)"
        ).format(target.definitions.identifier),
        "timeout": sql.Literal(f"{target.wait}ms"),
        "time_zone": sql.Literal(target.settings[ZONE]),
        "long_value": template("functions/long_value.sql").format(text=trusted(_LONG_TEXTS.get(name, ""))),
        "notify": notifies(target),
        "lock": sql.Literal(ADVISORY_LOCK_CLASS),
        "deepest": sql.Literal(DEEPEST),
        "bucket": bucket(target, trusted(_USERS.get(name, "found.user_id"))),
        "bucket_of_key": bucket(target, trusted("found.key")),
        "check": qualified(target.schema, "badges_check"),
        "user_of": qualified(target.schema, "badges_user_of"),
        "key_share": key_share(target),
        "check_keys": check_keys(target),
        "constraints": sql.SQL(", ").join(
            qualified(table.schema, f"{table.name}_user_id_fk") for table in (target.badges, target.events)
        ),
        **{each: qualified(target.schema, f"badges_{each}") for each in RUNTIME},
    }


def due(target: Target) -> sql.Composable:
    """An expression for when an evaluation that begins now has taken as long as it may."""
    if not target.budget:
        return sql.SQL("'infinity'::timestamptz")
    return sql.SQL("pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) {}::interval").format(
        sql.Literal(f"{target.budget} ms")
    )


def tenant(target: Target) -> sql.Literal:
    """The tenant as an argument of the functions that serve all of them; empty if there is but one schema."""
    return sql.Literal(target.tenant)


def is_impatient(target: Target) -> sql.Composable:
    """An expression for whether the transaction has waited in vain before."""
    return remembers(target, "patience")


def remembers(target: Target, kind: str) -> sql.Composable:
    """An expression for whether `badges_seal` has noted this in the transaction. Only then is a function called."""
    return sql.SQL(
        "(coalesce(pg_catalog.current_setting({}, true), '') OPERATOR(pg_catalog.<>) ''\n AND {}({}) IS NOT NULL)"
    ).format(sql.Literal(f"badges.{kind}"), qualified(target.schema, "badges_sealed"), sql.Literal(kind))


def key_share(target: Target) -> sql.SQL:
    """What keeps a user from being deleted until the transaction ends, as a foreign key does that is not deferred."""
    return sql.SQL(" FOR KEY SHARE" if target.owner_locks_users else "")


def check_keys(target: Target) -> sql.Composable:
    """The statement that does the same without the right to lock users; it goes through all deferred constraints."""
    if target.owner_locks_users:
        return sql.SQL("")
    return sql.SQL("PERFORM {}();").format(qualified(target.schema, "badges_check_keys_at_once"))


def notifies(target: Target) -> sql.Composable:
    """An expression for whether NOTIFY wakes the listeners. A transaction that has used it cannot be prepared."""
    if target.notifies is None:
        allowed: sql.Composable = sql.SQL("current_setting('max_prepared_transactions') = '0'")
    else:
        allowed = sql.Literal(target.notifies)
    # A COMMIT that finds the queue full fails. It fills up when a session listens and stays in one transaction.
    return sql.SQL("({}\n AND pg_catalog.pg_notification_queue_usage() < 0.5)").format(allowed)


def bucket(target: Target, user: sql.Composable) -> sql.Composed:
    """An expression for the bucket of a user. All code that locks buckets must use this one."""
    if target.user_key.type in INTEGERS:
        # Keys are consecutive numbers, whose last bits spread as well as any hash.
        number = sql.SQL("{}::bigint").format(user)
    else:
        text = text_of(user, target.user_key)
        if target.user_key.type == "citext":
            text = sql.SQL("pg_catalog.lower({})").format(text)
        number = sql.SQL("pg_catalog.hashtextextended({}, 0)").format(text)
    # A power of two, as a hash may be negative and & is not.
    return sql.SQL("({} OPERATOR(pg_catalog.&) {})::integer").format(number, sql.Literal(target.buckets - 1))
