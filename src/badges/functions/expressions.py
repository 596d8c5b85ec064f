"""Generates the SQL expressions that the templates take. Pure."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from psycopg import sql

from badges.database import Template, qualified, template, trusted
from badges.definitions.types import Definition
from badges.facts.types import INTEGERS, SHORT, Column, Count, Facts, Table, Target, UserPath
from badges.functions.types import Check, Level, text_of

FUNCTION_MAX_ARGUMENTS = 100
"""FUNC_MAX_ARGS of PostgreSQL."""

MOST_COUNTED = 2**31 - 1
"""Beyond that many rows a count is not bounded."""

_BITS = {"smallint": 16, "integer": 32, "bigint": 64}

NO_THING = sql.SQL("''::text")
"""The subject of a badge that is not declared with `per`."""

WIDTH = 80
"""Characters after which a list goes to the next line."""

_ANY_ROW = Template("""\
(SELECT true
 FROM {rows}
 WHERE {question}
 LIMIT 1)""")

_BOUNDED = Template("""\
FROM (
    SELECT
    {rows}
    LIMIT {enough}
) AS bounded""")

_BOUNDED_VALUES = Template("""\
FROM (
    SELECT FROM (
        SELECT {counted} AS counted
        {rows}
    ) AS each_row
    WHERE each_row.counted IS DISTINCT FROM NULL
    LIMIT {enough}
) AS bounded""")

_BEST_ROW = Template("""\
(SELECT pg_catalog.max(found.value)
 FROM {rows}
 CROSS JOIN LATERAL (SELECT {question} AS value) AS found)""")


def listed(items: Iterable[sql.Composable]) -> sql.Composed:
    """The items between commas, on as many lines as they need."""
    parts: list[sql.Composable] = []
    used = 0
    for item in items:
        first, _, rest = item.as_string().partition("\n")
        if parts and used + len(first) > WIDTH:
            parts.append(sql.SQL(",\n"))
            used = 0
        elif parts:
            parts.append(sql.SQL(", "))
        parts.append(item)
        # What follows an item of several lines begins a line of its own.
        used += WIDTH if rest else len(first) + 2
    return sql.Composed(parts)


def all_of(*conditions: sql.Composable | None) -> sql.Composed:
    """The conditions that there are, on one line if they fit."""
    given = [condition for condition in conditions if condition]
    one_line = sql.SQL(" AND ").join(given)
    return one_line if fits(one_line) else sql.SQL("\nAND ").join(given)


def fits(text: sql.Composable) -> bool:
    """Whether it can stand on one line."""
    rendered = text.as_string()
    return len(rendered) <= WIDTH and "\n" not in rendered


def where(condition: sql.Composable | None) -> sql.Composable:
    """A WHERE clause; empty if there is no condition."""
    return Template("WHERE {condition}").format(condition=condition) if condition else sql.SQL("")


def is_own_table(table: Table, level: Level, function: str = "") -> sql.Composed:
    """Whether a trigger function was fired by its own table.

    :param function: its name, to qualify its variables where a column may have the same name.
    """
    label = [function] if function else []
    relation, schema, name = (sql.Identifier(*label, f"tg_{each}") for each in ("relid", "table_schema", "table_name"))
    if level is Level.ROW and table.is_partitioned:
        # On a partition the trigger is a copy, and TG_RELID is the partition.
        return Template(
            "EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors({relation}) AS a (relid)\n"
            "        WHERE a.relid OPERATOR(pg_catalog.=) pg_catalog.to_regclass({table}))"
        ).format(relation=relation, table=sql.Literal(table.identifier.as_string()))
    return Template("({both})").format(
        both=all_of(
            sql.SQL("{} OPERATOR(pg_catalog.=) {}").format(schema, sql.Literal(table.schema)),
            sql.SQL("{} OPERATOR(pg_catalog.=) {}").format(name, sql.Literal(table.name)),
        )
    )


def held(target: Target, user: sql.Composable, thing: sql.Composable, badges: Sequence[Check]) -> sql.Composed:
    """The codes of those of the badges that a user holds."""
    can_expire = any(badge.definition.expires_after for badge in badges)
    is_single = len(badges) == 1
    query = template("functions/held.sql").format(
        found=array_of_codes(badges) if is_single else sql.SQL("b.code::text"),
        badges=target.badges.identifier,
        equals=equals(target.user_key),
        user=user,
        any_code=any_code(badges),
        thing=thing,
        and_unexpired=sql.SQL(
            "AND (b.expires_at IS NULL\n"
            "     OR b.expires_at\n"
            "        OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())"
            if can_expire
            else ""
        ),
    )
    # For a single badge the array is a constant, which need not be built.
    return Template("coalesce(({query}), '{{}}')" if is_single else "ARRAY({query})").format(query=query)


def any_code(badges: Sequence[Check]) -> sql.Composable:
    """What a code equals if it is that of one of the badges."""
    return (
        sql.Literal(badges[0].code)
        if len(badges) == 1
        else Template("ANY ({codes})").format(codes=array_of_codes(badges))
    )


def equals(*columns: Column) -> sql.SQL:
    """The operator that compares keys of users in these columns.

    In the functions that search the schemas of the site, every operator names its schema: PostgreSQL would prefer
    one that is planted there if its operands match better. The type of an extension has its own.
    """
    return sql.SQL("=" if any(column.is_own for column in columns) else "OPERATOR(pg_catalog.=)")


def codes(badges: Sequence[Check]) -> sql.Composed:
    return listed(sql.Literal(badge.code) for badge in badges)


def array_of_codes(badges: Sequence[Check]) -> sql.Composed:
    constant = sql.SQL("{}::text[]").format(sql.Literal([badge.code for badge in badges]))
    if len(constant.as_string()) <= WIDTH:
        return constant
    return Template("ARRAY[{codes}]::text[]").format(codes=codes(badges))


def known_user(target: Target, user: sql.Composable) -> sql.Composed:
    """The key of the user, or NULL if the user does not exist; a subquery, which no plan turns into a join."""
    return sql.SQL("(SELECT u.{key} FROM {users} AS u WHERE u.{key} {equals} {user})").format(
        key=sql.Identifier(target.user_key.name),
        users=target.users.identifier,
        equals=equals(target.user_key),
        user=user,
    )


def is_kept(target: Target, user: sql.Composable, lock: sql.Composable) -> sql.Composed:
    """Whether the user exists, and with this lock stays until the transaction ends."""
    return Template("(SELECT true FROM {users} AS u\n WHERE u.{key} {equals} {user}{lock}) IS NOT NULL").format(
        key=sql.Identifier(target.user_key.name),
        users=target.users.identifier,
        equals=equals(target.user_key),
        user=user,
        lock=lock,
    )


def as_key(target: Target, column: Column, user: sql.Composable) -> sql.Composable:
    """A value of the user's column in the type of the users' key; NULL if no key can be equal to it."""
    key = target.user_key
    if column.type == key.type:
        return user
    cast = sql.SQL("{}::{}").format(user, type_of(key))
    bits = _BITS.get(key.type)
    if bits is None or _BITS[column.type] <= bits:
        return cast
    return sql.SQL(
        "CASE WHEN {user} OPERATOR(pg_catalog.>=) {least} AND {user} OPERATOR(pg_catalog.<=) {most} THEN {cast} END"
    ).format(user=user, least=sql.Literal(-(2 ** (bits - 1))), most=sql.Literal(2 ** (bits - 1) - 1), cast=cast)


def reads(badge: Check) -> sql.Composed:
    """Which columns a condition reads, as JSON: only these of a row become evidence."""
    reads = {"new": badge.facts.new_columns, "old": badge.facts.old_columns}
    return sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(reads, ensure_ascii=False)))


def records(
    table: Table, new: Sequence[str], old: Sequence[str], users: Mapping[str, sql.Composable] | None = None
) -> sql.Composed:
    """The records of a row-level trigger as tables of one row, under the names that the conditions know them by.

    :param users: by `new` and `old`, in the place of the users to whom a path leads.
    """
    return sql.SQL("\nCROSS JOIN ").join(
        Template("(SELECT {columns}) AS {row}").format(
            columns=values_of(table, record, columns, (users or {}).get(record.lower())),
            row=sql.Identifier(record.lower()),
        )
        for record, columns in (("NEW", new), ("OLD", old))
        if columns
    )


def values_of(table: Table, record: str, names: Sequence[str], user: sql.Composable | None = None) -> sql.Composed:
    """Columns of a changed row, with the user at the end of a path among them.

    :param record: NEW or OLD, or the name of what has the columns of the table itself.
    :param user: in the place of the user to whom the path leads.
    """
    path = table.path
    if path is None or path.name not in names:
        return columns_of(record, names)
    own = [name for name in names if name != path.name]
    named_user = Template("{user} AS {name}").format(
        user=user or value_of_user(table, record, path.last), name=sql.Identifier(path.name)
    )
    return listed([*([columns_of(record, own)] if own else []), named_user])


def value_of_user(table: Table, record: str, user: Column) -> sql.Composed:
    """The user of NEW or OLD, the records of a row-level trigger."""
    path = table.path
    return user_by(path, columns_of(record, [path.first.name])) if path else columns_of(record, [user.name])


def user_by(path: UserPath, start: sql.Composable) -> sql.Composed:
    """The user to whom a path leads from a value of its first column, in the snapshot of the statement."""
    return Template("(SELECT {last}\n FROM {rows}\n WHERE {first})").format(
        last=sql.Identifier(_hop(len(path.hops)), path.last.name), rows=_along(path), first=_step(path, 1, start)
    )


def no_user(path: UserPath) -> sql.Composed:
    return sql.SQL("NULL::{}").format(type_of(path.last))


def is_cut(path: UserPath, start: sql.Composable) -> sql.Composed:
    """Whether a row on the path is not there, or not visible."""
    complete = [
        sql.SQL("({} IS NULL OR {} IS NOT NULL)").format(
            sql.Identifier(_hop(number - 1), hop.column.name), sql.Identifier(_hop(number), hop.key.name)
        )
        for number, hop in enumerate(path.hops[1:], start=2)
    ]
    return Template("NOT EXISTS (\n    SELECT FROM {rows}\n    WHERE {complete})").format(
        rows=_along(path, "LEFT JOIN"), complete=all_of(_step(path, 1, start), *complete)
    )


def rows_of(table: Table) -> sql.Composable:
    """The rows of a table as an item of FROM; where a path leads to their users, those who have one, with it."""
    path = table.path
    if path is None:
        return table.identifier
    first = sql.SQL("JOIN {} AS {} ON {}").format(
        path.hops[0].table.identifier,
        sql.Identifier(_hop(1)),
        _step(path, 1, sql.Identifier("badges_row", path.first.name)),
    )
    return Template("(SELECT badges_row.*, {user} AS {name}\n FROM {table} AS badges_row\n {joins})").format(
        user=sql.Identifier(_hop(len(path.hops)), path.last.name),
        name=sql.Identifier(path.name),
        table=table.identifier,
        joins=sql.SQL("\n").join([first, *_further(path, "JOIN")]),
    )


def _along(path: UserPath, join: str = "JOIN") -> sql.Composed:
    """The tables on a path, as items of FROM."""
    first = sql.SQL("{} AS {}").format(path.hops[0].table.identifier, sql.Identifier(_hop(1)))
    return sql.SQL("\n").join([first, *_further(path, join)])


def _further(path: UserPath, join: str) -> Iterator[sql.Composed]:
    """The tables behind the first on a path, as joins."""
    for number, hop in enumerate(path.hops[1:], start=2):
        yield sql.SQL("{} {} AS {} ON {}").format(
            trusted(join),
            hop.table.identifier,
            sql.Identifier(_hop(number)),
            _step(path, number, sql.Identifier(_hop(number - 1), hop.column.name)),
        )


def _step(path: UserPath, number: int, value: sql.Composable) -> sql.Composed:
    """A foreign key's own comparison, whatever operators there are on the search path."""
    hop = path.hops[number - 1]
    schema, operator = hop.operator
    return sql.SQL("{} OPERATOR({}.{}) {}").format(
        sql.Identifier(_hop(number), hop.key.name), sql.Identifier(schema), trusted(operator), value
    )


def _hop(number: int) -> str:
    return f"hop_{number}"


def distinct_rows(
    table: Table, row: str, columns: Sequence[str], source: sql.Composable, bounds: sql.Composable
) -> sql.Composed:
    """The rows of `source` under the name `row`, each combination of values once if that merges only identical ones."""
    identical = {column.name for column in table.columns if column.equal_means_identical}
    distinct = "DISTINCT " if identical.issuperset(columns) else ""
    return Template("(SELECT {distinct}{columns}\n FROM {source} AS {row}\n WHERE {bounds}) AS {row}").format(
        distinct=sql.SQL(distinct),
        columns=columns_of(row, columns),
        source=source,
        row=sql.Identifier(row),
        bounds=bounds,
    )


def source(table: Table, row: str, user: sql.Composable | None = None) -> sql.Composed:
    """The transition table of new or old rows, under the name that the conditions know it by.

    :param user: in the place of the users to whom the path leads.
    """
    return sql.SQL("{} AS {}").format(transition(table, row, user), sql.Identifier(row))


def transition(table: Table, row: str, user: sql.Composable | None = None) -> sql.Composable:
    """The same without the name."""
    return with_user(table.path, sql.Identifier(f"badges_{row}"), user)


def with_user(path: UserPath | None, rows: sql.Composable, user: sql.Composable | None = None) -> sql.Composable:
    """Changed rows with the users at the end of a path among their columns."""
    if path is None:
        return rows
    # OFFSET 0: each path is followed once, and not for each use of the user.
    return Template("(SELECT badges_row.*,\n        {user} AS {name}\n FROM {rows} AS badges_row\n OFFSET 0)").format(
        user=user or user_by(path, sql.Identifier("badges_row", path.first.name)),
        name=sql.Identifier(path.name),
        rows=rows,
    )


def question(text: sql.Composable, *, is_expression: bool = False) -> sql.Composed:
    """An author's text as a scalar expression: to the letter between parentheses."""
    opening = "(" if is_expression else "(SELECT "
    # A comment may end it.
    closing = "\n)" if "--" in text.as_string() else ")"
    return Template(f"{opening}{{text}}{closing}").format(text=text)


def condition_of(badge: Check, is_scoped: bool) -> sql.Composed:
    """The condition as its author wrote it, with the same `new` and `old` in scope as when it was analysed."""
    return _scoped(badge, question(condition(badge), is_expression=badge.facts.is_expression), is_scoped)


def progress_of(badges: Sequence[Check], is_scoped: bool) -> sql.Composed:
    """The same for the progress that badges share, as the number that is compared with their goals."""
    return _scoped(badges[0], question(_reached(badges)), is_scoped)


def _reached(badges: Sequence[Check]) -> sql.Composable:
    """The number that is compared with the goals of these badges: beyond the highest of them nothing is counted."""
    bounded = _bounded(badges)
    return _number(badges[0]) if bounded is None else sql.SQL("pg_catalog.count(*)\n") + bounded


def _bounded(badges: Sequence[Check]) -> sql.Composed | None:
    """The FROM clause for `count(*)` of the rows that these badges count, which are the same; None if they do not.

    It has no more rows than decide all of the badges, so a user with many rows costs no more than one with enough.
    """
    found, enough = badges[0].facts.count, [badge.enough for badge in badges]
    most = max((each for each in enough if each is not None), default=0)
    if found is None or None in enough or most > MOST_COUNTED:
        return None
    rows = trusted(found.rows)
    if not found.counted:
        return _BOUNDED.format(rows=rows, enough=sql.Literal(most))
    # Unlike IS NOT NULL, a row of NULLs is DISTINCT FROM NULL, as it is for count().
    return _BOUNDED_VALUES.format(counted=trusted(found.counted), rows=rows, enough=sql.Literal(most))


def _number(badge: Check) -> sql.Composable:
    """The number that decides whether a goal is reached, which is also the one that is shown; NULL if it is none.

    A sum of floating-point numbers differs from the right one by its last bits, which `numeric` rounds off; and
    PostgreSQL takes NaN to be greater than any number.
    """
    progress = trusted(badge.definition.progress)
    if badge.facts.type in INTEGERS:
        return progress
    return sql.SQL("nullif(nullif({}::numeric, 'NaN'), 'Infinity')").format(question(progress))


def subject(column: sql.Composable, per: Column) -> sql.Composed:
    """The text of a subject: values that are equal have the same."""
    text = text_of(column, per)
    if per.type == "numeric":
        return sql.SQL("pg_catalog.trim_scale({})::text").format(column)
    if per.type == "citext":
        return sql.SQL("pg_catalog.lower({})").format(text)
    return text


def answers_of(badges: Sequence[Check], held: sql.Composable, is_scoped: bool) -> sql.Composed:
    """The conditions of badges with the same FROM clause as one query, whose row is an array of their results.

    The condition of a badge that is held is not evaluated, as it would not be by itself: it may be the one that fails.
    That of a revocable badge always is.
    """
    return _scoped(badges[0], question(_answers(badges, held)), is_scoped)


def condition(badge: Check) -> sql.Composable:
    """The text of the condition: the author's, or that of the progress and its goal."""
    definition = badge.definition
    if definition.progress and definition.goal is not None:
        # The same as its `condition`, laid out like the rest.
        progress = _reached([badge])
        if badge.facts.type in INTEGERS:
            progress = question(progress)
        return sql.SQL("{} OPERATOR(pg_catalog.>=) {}").format(progress, goal_of(badge))
    bounded, count = _bounded([badge]), badge.facts.count
    if bounded is None or count is None:
        return trusted(definition.condition)
    return _compared(count) + sql.SQL("\n") + bounded


def _compared(count: Count) -> sql.Composed:
    """The comparison, over the rows of `_bounded`."""
    return sql.SQL("pg_catalog.count(*) OPERATOR(pg_catalog.{}) {}").format(
        trusted(count.operator), sql.Literal(count.number)
    )


def goal_of(badge: Check) -> sql.SQL:
    return trusted(f"{badge.definition.goal:f}")


def _answers(badges: Sequence[Check], held: sql.Composable) -> sql.Composed:
    bounded = _bounded(badges)
    conditions = (
        (badge, _compared(badge.facts.count) if bounded and badge.facts.count else trusted(badge.facts.select_list))
        for badge in badges
    )
    return Template("ARRAY[\n    {answers}\n] {from_clause}").format(
        answers=sql.SQL(",\n").join(
            named(badge, condition if badge.is_revocable else if_lacked(badge, condition, held))
            for badge, condition in conditions
        ),
        from_clause=bounded or trusted(badges[0].facts.from_clause),
    )


def _scoped(badge: Check, asked: sql.Composed, is_scoped: bool) -> sql.Composed:
    """With the changed row alone in scope, where more names would be."""
    row, facts = badge.row, badge.facts
    read = facts.new_columns if badge.decided_after.has_new else facts.old_columns
    if not (is_scoped and read):
        return asked
    return Template("(SELECT {question}\n FROM (SELECT {columns}) AS {row})").format(
        question=asked, columns=columns_of(row, read), row=sql.Identifier(row)
    )


def state(badge: Check, user: sql.Composable, thing: sql.Composable) -> sql.Composed:
    """Whether the condition holds for a user as a whole, by the rows that exist."""
    return _of_user(badge, user, thing, condition(badge), _ANY_ROW)


def state_of_progress(badge: Check, user: sql.Composable, thing: sql.Composable) -> sql.Composed:
    """The progress of a user as a whole, as it is shown: where rows decide, that of the best row."""
    return _of_user(badge, user, thing, _number(badge), _BEST_ROW)


def state_of_reached(badges: Sequence[Check], user: sql.Composable, thing: sql.Composable) -> sql.Composed:
    """The same as `progress_of`, for a user as a whole."""
    return _of_user(badges[0], user, thing, _reached(badges), _BEST_ROW)


def state_of_answers(
    badges: Sequence[Check], held: sql.Composable, user: sql.Composable, thing: sql.Composable
) -> sql.Composed:
    """The same as `answers_of`, for a user as a whole."""
    return _of_user(badges[0], user, thing, _answers(badges, held), _ANY_ROW)


def _of_user(
    badge: Check, user: sql.Composable, thing: sql.Composable, text: sql.Composable, among_rows: Template
) -> sql.Composed:
    facts, row = badge.facts, sql.Identifier(badge.row)
    if facts.decided_by == "user":
        return Template("(SELECT {question}\n FROM (SELECT {user}::{type} AS {column}) AS {row})").format(
            question=question(text),
            user=user,
            type=type_of(facts.user),
            column=sql.Identifier(facts.user.name),
            row=row,
        )
    read = facts.new_columns if badge.decided_after.has_new else facts.old_columns
    column = sql.SQL("badges_row.{}")
    of_user = [sql.SQL("{} {} {}").format(column.format(sql.Identifier(facts.user.name)), equals(facts.user), user)]
    if facts.per:
        per = column.format(sql.Identifier(facts.per.name))
        of_user.append(sql.SQL("{} OPERATOR(pg_catalog.=) {}").format(subject(per, facts.per), thing))
        if facts.per.type in INTEGERS:
            # The same again as a number, for an index on the column. A manual award may have any text as its subject.
            of_user.append(
                Template(
                    "{per} OPERATOR(pg_catalog.=)\n"
                    "    CASE WHEN {thing}\n"
                    "              OPERATOR(pg_catalog.~) '^-?[0-9]{{1,19}}$'\n"
                    "         THEN {thing}::bigint END"
                ).format(per=per, thing=thing)
            )
    # Under a name of its own, as `user` may be a column of a row that goes by the same name.
    rows = template("functions/rows_of_user.sql").format(
        select=sql.SQL("SELECT {}").format(columns_of("badges_row", read)) if read else sql.SQL("SELECT"),
        table=rows_of(facts.table),
        where=all_of(*of_user),
        row=row,
    )
    return among_rows.format(rows=rows, question=question(text))


def if_lacked(badge: Check, earned: sql.Composable, held: sql.Composable) -> sql.Composed:
    """Whether a badge is earned; NULL if there is nothing to do about it.

    So if it is false, the user lacks the badge or is to lose it.
    """
    layout = "CASE WHEN {code} OPERATOR(pg_catalog.<>) ALL ({held}) THEN\n    coalesce({earned}, false)\nEND"
    if badge.is_revocable:
        layout = (
            "CASE WHEN {earned} THEN\n    nullif({code} OPERATOR(pg_catalog.<>) ALL ({held}), false)\nELSE false END"
        )
    return Template(layout).format(code=sql.Literal(badge.code), held=held, earned=earned)


def named(badge: Check, expression: sql.Composable) -> sql.Composed:
    """An expression below the name of the badge that it is about."""
    return Template("-- {name}\n{expression}").format(name=comment(badge.definition.name), expression=expression)


def evidence_of_all(badges: Sequence[Check], target: Target) -> sql.Composed:
    by_badge = {badge.code: evidence(badge.event, badge.facts, target) for badge in badges}
    expressions = {expression.as_string() for expression in by_badge.values()}
    if len(expressions) == 1:
        return next(iter(by_badge.values()))
    return _by_code(by_badge)


def _by_code(values: Mapping[str, sql.Composable]) -> sql.Composed:
    whens = (
        Template("WHEN badge.code OPERATOR(pg_catalog.=) {code} THEN {value}").format(
            code=sql.Literal(code), value=value
        )
        for code, value in values.items()
    )
    return Template("CASE\n    {whens}\nEND").format(whens=sql.SQL("\n").join(whens))


def evidence(operation: str, facts: Facts, target: Target | None = None) -> sql.Composed:
    """An expression for what the condition read: the table, the operation, and the columns of the row.

    :param target: where the generated functions are installed; without it, a value that jsonb cannot hold is an error.
    """
    operands = [
        sql.SQL("'table', {}").format(sql.Literal(facts.table.qualified_name)),
        sql.SQL("'operation', {}").format(sql.Literal(str(operation))),
        *([sql.SQL("'tenant', {}").format(sql.Literal(target.tenant))] if target and target.tenant else []),
        *(
            Template("{row}, {columns}").format(row=sql.Literal(row), columns=_as_json(row, columns, facts, target))
            for row, columns in (("new", facts.new_columns), ("old", facts.old_columns))
            if columns
        ),
    ]
    one_line = listed(operands)
    layout = "pg_catalog.jsonb_build_object({operands})"
    if not fits(one_line):
        layout = "pg_catalog.jsonb_build_object(\n    {operands})"
    return Template(layout).format(operands=one_line)


def of_tenant(target: Target) -> dict[str, str]:
    """What evidence and pending checks have of the tenant."""
    return {"tenant": target.tenant} if target.tenant else {}


def occasion(badge: Check, target: Target) -> sql.Composed:
    """The evidence of a badge that is checked for the user as a whole: the write that caused the check."""
    facts: dict[str, str | bool] = {
        "table": badge.table.qualified_name,
        "operation": badge.event.value,
        "asks": badge.asks,
        **of_tenant(target),
    }
    if badge.link:
        # Other transactions may have seen another user: its pending check waits for their end.
        facts["waits"] = True
    return sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(facts, ensure_ascii=False)))


def expires_at(badges: Sequence[Check]) -> sql.Composable:
    """When an award of now ends."""
    expiring = {badge.code: ends_at(badge.definition) for badge in badges if badge.definition.expires_after}
    return _by_code(expiring) if expiring else sql.SQL("NULL::timestamptz")


def ends_at(definition: Definition) -> sql.Composed:
    """When an award of now ends, for a badge that expires."""
    return sql.SQL("pg_catalog.statement_timestamp() OPERATOR(pg_catalog.+) {}::interval").format(
        sql.Literal(definition.expires_after)
    )


def may_be_long(facts: Facts, columns: Collection[str]) -> bool:
    """Whether a value of one of these columns may be longer than evidence keeps."""
    return any(column.type not in SHORT for column in facts.table.columns if column.name in columns)


def _as_json(row: str, columns: Sequence[str], facts: Facts, target: Target | None) -> sql.Composed:
    if target and may_be_long(facts, columns):
        return sql.SQL("{}({})").format(
            qualified(target.schema, "badges_stored"), row_as_json(row, columns, facts.table, "json")
        )
    return row_as_json(row, columns, facts.table, "jsonb")


def row_as_json(row: str, names: Sequence[str], table: Table, kind: str) -> sql.Composed:
    """These columns of a row as json or jsonb. Values of types that are not PostgreSQL's own are texts."""
    source = trusted(row) if row.isupper() else sql.Identifier(row)
    values: dict[str, sql.Composable] = {}
    for column in table.columns:
        if column.name in names:
            value = sql.SQL("{}.{}").format(source, sql.Identifier(column.name))
            values[column.name] = text_of(value, column) if column.is_own else value
    if len(values) <= FUNCTION_MAX_ARGUMENTS // 2:
        pairs = (sql.SQL("{}, {}").format(sql.Literal(name), value) for name, value in values.items())
        return Template("pg_catalog.{kind}_build_object({pairs})").format(kind=trusted(kind), pairs=listed(pairs))
    columns = (sql.SQL("{} AS {}").format(value, sql.Identifier(name)) for name, value in values.items())
    return Template("(SELECT pg_catalog.to_{kind}(seen) FROM (SELECT {columns}) AS seen)").format(
        kind=trusted(kind), columns=listed(columns)
    )


def columns_of(row: str, names: Iterable[str]) -> sql.Composed:
    """The columns of NEW or OLD, the records of a row-level trigger, or of the source named `new` or `old`."""
    source = trusted(row) if row.isupper() else sql.Identifier(row)
    return listed(sql.SQL("{}.{}").format(source, sql.Identifier(name)) for name in names)


def type_of(column: Column) -> sql.SQL:
    """The type of a column, of any length: `character` and `bit` alone would be those of length 1."""
    return trusted({"character": "pg_catalog.bpchar", "bit": 'pg_catalog."bit"'}.get(column.type, column.type))


def comment(text: str) -> sql.SQL:
    """`text` on one line, to stand after -- in SQL."""
    return trusted(re.sub(r"\s+", " ", text))


def comment_lines(text: str) -> sql.Composed:
    """`text` as comment lines of SQL."""
    return sql.SQL("\n").join(
        trusted(f"-- {line}") for line in textwrap.wrap(text, 115, break_long_words=False, break_on_hyphens=False)
    )
