"""The functions that the command installs: what all of them are, and those that stand whole in `sql/runtime/`. Pure."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import re

from psycopg import sql

from badges.database import qualified, template, trusted
from badges.site import INTEGERS, Site

GENERATOR = 5
"""Counts the changes of the generated SQL; it tells a plan's reader why a function is replaced that nobody edited."""

MARKER = "Made by django-pg-badges; "
"""Begins the comment of each installed function. Nothing without it is ever dropped."""

ADVISORY_LOCK_CLASS = 0x62616467
"""First key of the advisory locks on buckets of users ("badg"); the second is the bucket."""

DEEPEST = 5
"""How deep triggers may be nested; those below it count as without the lock, as badges about badges might never end."""

RUNTIME = ("wait", "note_failure", "record_parts", "record", "one_by_one", "settle", "award", "revoke", "keep_events")
"""The functions in `sql/runtime/`, each in a file of its name."""

HISTORY = {
    "add_awarded": ("events_awarded.sql", "each badge that comes", "false"),
    "add_revoked": (
        "events_revoked.sql",
        "each badge that goes",
        "EXISTS (SELECT FROM badges_old AS b WHERE b.expires_at IS NULL OR b.expires_at > statement_timestamp())",
    ),
    "add_moved": ("events_moved.sql", "each badge that is another one now", "true"),
    "add_truncated": ("events_truncated.sql", "what is gone by TRUNCATE", "true"),
}
"""The functions that write events, all by `add_events.sql`: the file that tells what each finds, what that is, and an
expression for whether a badge is revoked with it."""


class Level(enum.StrEnum):
    """Whether a trigger fires for each statement or for each row."""

    STATEMENT = "statement"
    ROW = "row"


@dataclasses.dataclass(frozen=True, slots=True)
class Routine:
    """A function of the database; all that is said of it is read from the statement that creates it."""

    schema: str
    name: str
    owner: str
    statement: str
    codes: tuple[str, ...] = ()
    """The badges that it serves."""

    @property
    def identifier(self) -> sql.Composed:
        return qualified(self.schema, self.name)

    @property
    def header(self) -> str:
        return self.statement.partition("\nAS $badges")[0]

    @property
    def body(self) -> str:
        """What PostgreSQL keeps as `prosrc`."""
        quoted = self.statement.partition("\nAS ")[2].rstrip()
        tag = quoted[: quoted.index("$", 1) + 1]
        return quoted.removeprefix(tag).removesuffix(tag)

    @property
    def config(self) -> frozenset[str]:
        """What PostgreSQL keeps as `proconfig`."""
        settings = re.findall(r"^SET (\w+) = (.+)$", self.header, re.MULTILINE)
        return frozenset(f"{name}={value.strip(chr(39))}" for name, value in settings)

    @property
    def arguments(self) -> str:
        """As pg_get_function_arguments gives them."""
        signature = self.header.partition(f"{self.identifier.as_string()}(")[2]
        return signature[: signature.index(")\n")]

    @property
    def is_security_definer(self) -> bool:
        return "\nSECURITY DEFINER" in self.header

    @property
    def comment(self) -> str:
        facts = {"generator": GENERATOR, "badges": self.codes, "body": digest(self.body)}
        return f"{MARKER}{json.dumps(facts, ensure_ascii=False)}"


def digest(body: str) -> str:
    """Tells a body that the command wrote from one that was edited since."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def dollar_quoted(text: str) -> str:
    """`text` between dollar quotes that it does not hold."""
    tag = "$badges$"
    while tag[:-1] in text:
        tag = f"{tag[:-1]}_$"
    return f"{tag}{text}{tag}"


def routine(site: Site, name: str, file: str, **placeholders: sql.Composable) -> Routine:
    """The function `name` as the statement in `sql/<file>` creates it."""
    statement = template(file).format(function=qualified(site.schema, name), **placeholders).as_string()
    return Routine(site.schema, name, site.badges_owner, statement)


def runtime(site: Site) -> tuple[Routine, ...]:
    """The functions that do not depend on any badge, in an order in which each can be created."""
    return (
        *(routine(site, f"badges_{name}", f"runtime/{name}.sql", **placeholders(site, name)) for name in RUNTIME),
        *(_adds_events(site, name) for name in HISTORY),
    )


def _adds_events(site: Site, name: str) -> Routine:
    shared = placeholders(site, name)
    file, what, is_revoked = HISTORY[name]
    delivery: sql.Composable = sql.SQL("")
    if site.sends_signals:
        delivery = template("events_delivery.sql").format(**shared)
    return routine(
        site,
        f"badges_{name}",
        "add_events.sql",
        what=trusted(what),
        found=template(file).format(**shared),
        is_revoked=trusted(is_revoked),
        delivery=delivery,
        **shared,
    )


def placeholders(site: Site, name: str) -> dict[str, sql.Composable]:
    """What the SQL of a runtime function may name: tables, settings and the other functions."""
    user = {"settle": "pending.user_id", "award": "awarded_user", "revoke": "revoked_user"}.get(name, "found.user_id")
    return {
        "badges": site.badges.identifier,
        "pending": site.pending.identifier,
        "failures": site.failures.identifier,
        "definitions": site.definitions.identifier,
        "events": site.events.identifier,
        "deliveries": site.deliveries.identifier,
        "users": site.users.identifier,
        "user_key": sql.Identifier(site.user_key.name),
        "key": trusted(site.user_key.type),
        "expires_at": sql.SQL(
            "(SELECT statement_timestamp() + nullif(d.expires_after, '')::interval"
            " FROM {} AS d WHERE d.code = found.code)"
        ).format(site.definitions.identifier),
        "timeout": sql.Literal(f"{site.wait}ms"),
        "notify": notifies(site),
        "lock": sql.Literal(ADVISORY_LOCK_CLASS),
        "deepest": sql.Literal(DEEPEST),
        "bucket": bucket(site, trusted(user)),
        "check": qualified(site.schema, "badges_check"),
        **{each: qualified(site.schema, f"badges_{each}") for each in RUNTIME},
    }


def notifies(site: Site) -> sql.Composable:
    """Whether listeners are woken by NOTIFY: an expression. A transaction that has used it cannot be prepared."""
    if site.notifies is None:
        return sql.SQL("current_setting('max_prepared_transactions') = '0'")
    return sql.Literal(site.notifies)


def bucket(site: Site, user: sql.Composable) -> sql.Composed:
    """The bucket of a user: an expression that all who lock must agree on."""
    if site.user_key.type in INTEGERS:
        # Users are numbered one after the other, so their last bits spread as well as any hash.
        return sql.SQL("({}::bigint & {})::integer").format(user, sql.Literal(site.buckets - 1))
    text = sql.SQL("{}::text").format(user)
    if site.user_key.type == "citext":
        text = sql.SQL("lower({})").format(text)
    # A power of two, as a hash may be negative and & is not.
    return sql.SQL("(pg_catalog.hashtextextended({}, 0) & {})::integer").format(text, sql.Literal(site.buckets - 1))
