"""The users and subjects for which a trigger checks badges, as items of FROM. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from psycopg import sql

from badges.database import Template, template
from badges.facts.types import Target
from badges.functions import expressions
from badges.functions.expressions import NO_THING
from badges.functions.types import Check, Firing, Level


@dataclasses.dataclass(frozen=True, slots=True)
class Subjects:
    """What the badges of one group are checked for after a write: changed rows, or else the users whom they name."""

    rows: sql.Composable
    """An item of FROM; `user`, `known_user` and `thing` are expressions over it."""
    distinct_rows: sql.Composable
    """The same, each combination of values once."""
    user: sql.Composable
    known_user: sql.Composable
    """The user, in the type of the users' key."""
    thing: sql.Composable
    has_thing: bool
    has_both_rows: bool = False
    """NEW and OLD are both in scope."""

    @property
    def each_award(self) -> sql.Composable:
        """What distinguishes one award of a badge from another."""
        return sql.SQL("{}, {}").format(self.user, self.thing) if self.has_thing else self.user

    @property
    def exists(self) -> sql.Composed:
        """Whether a row names a user, and a subject if the badge has one."""
        return expressions.all_of(self.user + sql.SQL(" IS NOT NULL"), self.thing_exists)

    @property
    def thing_exists(self) -> sql.Composable | None:
        return self.thing + sql.SQL(" IS NOT NULL") if self.has_thing else None


def subjects_of(firing: Firing, checks: Sequence[Check]) -> Subjects:
    """The subjects of badges with the same `Check.group`."""
    return _affected_users(firing, checks[0]) if checks[0].is_state else _changed_rows(firing, checks)


def _changed_rows(firing: Firing, checks: Sequence[Check]) -> Subjects:
    event, table, first = firing.event, firing.table, checks[0]
    per = first.facts.per
    new = {column for check in checks for column in check.facts.new_columns}
    old = {column for check in checks for column in check.facts.old_columns}
    (new if event.has_new else old).update({first.user.name, *([per.name] if per else [])})
    user = sql.Identifier(event.changed_row, first.user.name)
    rows: sql.Composable = expressions.source(event)
    distinct_rows = rows
    if firing.level is Level.ROW:
        rows = distinct_rows = expressions.records(table.in_order(new), table.in_order(old))
    elif first.is_cross_row:
        distinct_rows = expressions.distinct_rows(
            table,
            event.changed_row,
            table.in_order(new if event.has_new else old),
            sql.Identifier(f"badges_{event.changed_row}"),
            user + sql.SQL(" IS NOT NULL"),
        )
    return Subjects(
        rows=rows,
        distinct_rows=distinct_rows,
        user=user,
        known_user=known_user(firing.target, first, user),
        thing=expressions.subject(sql.Identifier(event.changed_row, per.name), per) if per else NO_THING,
        has_thing=bool(per),
        has_both_rows=bool(new and old),
    )


def _affected_users(firing: Firing, check: Check) -> Subjects:
    """The users whom the changed rows name, before and after; with their subjects, if there is a badge for each."""
    facts, per = check.facts, check.facts.per
    names_subject = firing.table.oid == facts.table.oid and check.user.name == facts.user.name
    named = sql.SQL("\nUNION\n").join(_named(firing, check, with_subject=bool(per and names_subject)))
    rows = Template("({named}) AS affected").format(named=named)
    if per and not names_subject:
        rows = template("functions/subjects_of_users.sql").format(
            users=named,
            subject=expressions.subject(sql.Identifier("badges_row", per.name), per),
            table=facts.table.identifier,
            user=sql.Identifier(facts.user.name),
            badges=firing.target.badges.identifier,
            equals=expressions.equals(firing.target.user_key, facts.user),
            code=sql.Literal(check.code),
        )
    user = sql.Identifier("affected", "user_id")
    return Subjects(
        rows=rows,
        distinct_rows=rows,
        user=user,
        known_user=known_user(firing.target, check, user),
        thing=sql.Identifier("affected", "thing") if per else NO_THING,
        has_thing=bool(per),
    )


def _named(firing: Firing, check: Check, *, with_subject: bool) -> Iterator[sql.Composed]:
    """A query for each kind of row of the event: the users (and subjects) that it names."""
    is_row_level = firing.level is Level.ROW
    per = check.facts.per
    for row, is_there in (("new", firing.event.has_new), ("old", firing.event.has_old)):
        if not is_there:
            continue
        record = row.upper() if is_row_level else row
        columns = [expressions.columns_of(record, [check.user.name]) + sql.SQL(" AS user_id")]
        if per and with_subject:
            columns.append(expressions.subject(expressions.columns_of(record, [per.name]), per) + sql.SQL(" AS thing"))
        origin: sql.Composable = sql.SQL("")
        if not is_row_level:
            origin = sql.SQL(" FROM {} AS {}").format(sql.Identifier(f"badges_{row}"), sql.Identifier(row))
        yield Template("SELECT DISTINCT {columns}{origin}").format(columns=sql.SQL(", ").join(columns), origin=origin)


def known_user(target: Target, check: Check, user: sql.Composable) -> sql.Composable:
    """The key as the users' table has it; a user who is not there yet goes by the changed row's own value."""
    key = expressions.as_key(target, check.user, user)
    if check.user.type == target.user_key.type:
        return key
    return sql.SQL("coalesce({}, {})").format(expressions.known_user(target, user), key)
