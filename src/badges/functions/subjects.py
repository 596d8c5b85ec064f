"""The users and subjects for which a trigger checks badges, as items of FROM. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from psycopg import sql

from badges.database import Template, template
from badges.facts.types import Target, UserPath
from badges.functions import expressions
from badges.functions.expressions import NO_THING
from badges.functions.types import Check, Firing, Level, text_of


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
    rows_of_one: sql.Composable | None = None
    """The same as `rows` for the single user in own.the_user, where a path has led there: it may lead elsewhere now."""
    is_new: sql.Composable | None = None
    """Whether a change gave rows to the user, where only such changes cause the check."""

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
    event, first = firing.event, checks[0]
    table = first.table
    per = first.facts.per
    new = {column for check in checks for column in check.facts.new_columns}
    old = {column for check in checks for column in check.facts.old_columns}
    (new if event.has_new else old).update({first.user.name, *([per.name] if per else [])})
    user = sql.Identifier(event.changed_row, first.user.name)
    rows: sql.Composable = expressions.source(table, event.changed_row)
    distinct_rows = rows
    the_user = sql.SQL("own.the_user::{}").format(expressions.type_of(first.user)) if table.path else None
    rows_of_one = expressions.source(table, event.changed_row, the_user)
    if firing.level is Level.ROW:
        columns = table.in_order(new), table.in_order(old)
        rows = distinct_rows = expressions.records(table, *columns)
        rows_of_one = expressions.records(table, *columns, {event.changed_row: the_user} if the_user else None)
    elif first.is_cross_row:
        distinct_rows = expressions.distinct_rows(
            table,
            event.changed_row,
            table.in_order(new if event.has_new else old),
            expressions.transition(table, event.changed_row),
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
        rows_of_one=rows_of_one if the_user else None,
    )


def _affected_users(firing: Firing, check: Check) -> Subjects:
    """The users whom the changed rows name, before and after; with their subjects, if there is a badge for each."""
    facts, per = check.facts, check.facts.per
    names_subject = firing.table.oid == facts.table.oid and check.user.name == facts.user.name
    named = sql.SQL("\nUNION\n").join(_named(firing, check, with_subject=bool(per and names_subject)))
    if check.link:
        named = Template(
            "SELECT user_id, pg_catalog.bool_or(is_new) AS is_new\nFROM (\n    {named}\n) AS named\nGROUP BY user_id"
        ).format(named=named)
    rows = Template("({named}) AS affected").format(named=named)
    if per and (check.link or not names_subject):
        rows = template("functions/subjects_of_users.sql").format(
            users=named,
            changed=sql.SQL("changed.user_id, changed.is_new" if check.link else "changed.user_id"),
            subject=expressions.subject(sql.Identifier("badges_row", per.name), per),
            table=expressions.rows_of(facts.table),
            user=sql.Identifier(facts.user.name),
            badges=firing.target.badges.identifier,
            equals=expressions.equals(firing.target.user_key, facts.user),
            code=sql.Literal(check.code),
        )
    user = sql.Identifier("affected", "user_id")
    rows_of_one = sql.SQL("(SELECT own.the_user::{} AS user_id, own.the_thing AS thing) AS affected").format(
        expressions.type_of(check.user)
    )
    return Subjects(
        rows=rows,
        distinct_rows=rows,
        user=user,
        known_user=known_user(firing.target, check, user),
        thing=sql.Identifier("affected", "thing") if per else NO_THING,
        has_thing=bool(per),
        rows_of_one=rows_of_one if check.table.path else None,
        is_new=sql.Identifier("affected", "is_new") if check.link else None,
    )


def _named(firing: Firing, check: Check, *, with_subject: bool) -> Iterator[sql.Composed]:
    """A query for each kind of row of the event: the users (and subjects) that it names."""
    per = check.facts.per if with_subject and not check.link else None
    for row in _kinds(firing):
        if firing.level is Level.ROW and not check.link:
            record = row.upper()
            origin: sql.Composable = sql.SQL("")
            user: sql.Composable = expressions.value_of_user(check.table, record, check.user)
        else:
            record = row
            user = sql.Identifier(row, check.user.name)
            origin = sql.SQL(" FROM {} AS {}").format(_changed(firing, check, row), sql.Identifier(row))
        columns = [user + sql.SQL(" AS user_id")]
        if per:
            columns.append(expressions.subject(expressions.columns_of(record, [per.name]), per) + sql.SQL(" AS thing"))
        if check.link:
            columns.append(sql.SQL("{} AS is_new").format(sql.Literal(row == "new")))
        yield Template("SELECT DISTINCT {columns}{origin}").format(columns=sql.SQL(", ").join(columns), origin=origin)


def _kinds(firing: Firing) -> list[str]:
    return [row for row, is_there in (("new", firing.event.has_new), ("old", firing.event.has_old)) if is_there]


def _changed(firing: Firing, check: Check, row: str, user: sql.Composable | None = None) -> sql.Composable:
    """The new or the old rows for whose users badges are checked as a whole, as an item of FROM without its name.

    :param user: in the place of the users to whom a path leads.
    """
    if check.link is None:
        return expressions.transition(check.table, row, user)
    path = check.table.path
    columns = [*dict.fromkeys((check.link.name, path.first.name if path else check.user.name))]
    # Only where a row has another key than before, or leads elsewhere.
    changed = sql.SQL("\nEXCEPT\n").join(
        Template("SELECT {columns}{origin}").format(
            columns=expressions.columns_of(side.upper() if firing.level is Level.ROW else side, columns),
            origin=sql.SQL("")
            if firing.level is Level.ROW
            else sql.SQL(" FROM {} AS {}").format(sql.Identifier(f"badges_{side}"), sql.Identifier(side)),
        )
        for side in (row, *(each for each in _kinds(firing) if each != row))
    )
    return expressions.with_user(path, Template("({changed})").format(changed=changed), user)


def unresolved(firing: Firing, checks: Sequence[Check], *, only_uncertain: bool) -> sql.Composed:
    """A query for changed rows whose users are to be found later, by a path: thing, code, evidence.

    :param only_uncertain: those alone of which this snapshot may not show the user: a row on the way is missing, or
        the snapshot is older than the write.
    """
    check = checks[0]
    path = check.table.path
    if path is None:
        raise ValueError("only a path can be followed later")
    per = check.facts.per if check.table.oid == check.facts.table.oid and not check.link else None
    rows = _kinds(firing) if check.is_state else [firing.event.changed_row]
    return sql.SQL("\nUNION ALL\n").join(
        template("functions/unresolved_rows.sql").format(
            thing=expressions.subject(sql.Identifier(row, per.name), per) if per else NO_THING,
            evidence=expressions.occasion(check, firing.target)
            if check.is_state
            else expressions.evidence_of_all(checks, firing.target),
            name=sql.Literal(path.name),
            start=text_of(start, path.first) if path.first.is_own else start,
            rows=_unresolved_rows(firing, checks, row),
            codes=expressions.array_of_codes(checks),
            where=expressions.all_of(
                start + sql.SQL(" IS NOT NULL"),
                _is_uncertain(path, row) if only_uncertain else None,
            ),
        )
        for row, start in ((row, sql.Identifier(row, path.first.name)) for row in rows)
    )


def _unresolved_rows(firing: Firing, checks: Sequence[Check], row: str) -> sql.Composable:
    check = checks[0]
    path, per = check.table.path, check.facts.per
    no_user = expressions.no_user(path) if path else None
    if firing.level is Level.STATEMENT or check.link:
        source = _changed(firing, check, row, no_user)
        return sql.SQL("{} AS {}").format(source, sql.Identifier(row))
    names = {
        "new": {column for each in checks for column in each.facts.new_columns if not check.is_state},
        "old": {column for each in checks for column in each.facts.old_columns if not check.is_state},
    }
    names[row] |= {path.first.name} if path else set()
    names[row] |= {per.name} if per and check.table.oid == check.facts.table.oid else set()
    new, old = (check.table.in_order(names[each]) for each in ("new", "old"))
    return expressions.records(check.table, new, old, {"new": no_user, "old": no_user} if no_user else None)


def _is_uncertain(path: UserPath, row: str) -> sql.Composed:
    """Whether the snapshot may not show the user of a row.

    Where the way from an old row ends, the row there is deleted, and its own deletion has checked the user.
    """
    is_old_snapshot = sql.SQL(
        "pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'"
    )
    is_cut = expressions.is_cut(path, sql.Identifier(row, path.first.name))
    if row == "old":
        return sql.SQL("{} AND NOT {}").format(is_old_snapshot, is_cut)
    return sql.SQL("({} OR {})").format(is_old_snapshot, is_cut)


def known_user(target: Target, check: Check, user: sql.Composable) -> sql.Composable:
    """The key as the users' table has it; a user who is not there yet goes by the changed row's own value."""
    key = expressions.as_key(target, check.user, user)
    if check.user.type == target.user_key.type:
        return key
    return sql.SQL("coalesce({}, {})").format(expressions.known_user(target, user), key)
