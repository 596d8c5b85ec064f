"""The cost that checks add to a write, as PostgreSQL's planner estimates it, and measured once. Takes a connection."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch, from_json, qualified, rolled_back, template, trusted
from badges.definitions.types import TriggerEvent
from badges.facts.types import AnalysedDefinition, Facts, Target, fold
from badges.functions import expressions
from badges.functions.types import Check, checks

DISABLED_COST = 1e10
"""What PostgreSQL before 18 adds to the cost of a node that a setting such as enable_seqscan forbids."""

_NAME = r'"(?:[^"]|"")+"|[a-z_][\w$]*'
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]| AND | = """)


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """The rows that a check reads of one table."""

    table: str
    """As schema.table; of a partition, its partitioned table."""
    rows: int
    table_rows: int
    """How many the table has. Both are PostgreSQL's estimates."""
    is_whole: bool
    """No index narrows it down: the whole table is read."""
    index: str = ""
    """The statement that makes an index which would, if the plan shows its columns."""
    is_filtered: bool = True
    """Not all of what is read is wanted."""

    def __str__(self) -> str:
        rows = f"about {self.rows:,} row{'' if self.rows == 1 else 's'}"
        return f"the whole of {self.table}, {rows}" if self.is_whole else f"{rows} of {self.table} by index"


@dataclasses.dataclass(frozen=True, slots=True)
class Write:
    """The worst case of one write, as an estimate: that of the user with the most rows in the trigger table."""

    event: TriggerEvent
    user: str | None
    """The key of that user; None if the trigger table has no row with one, so that an average user stands in."""
    cost: float
    """PostgreSQL's total cost of checking this badge, in its own unit: reading a page sequentially costs 1."""
    rows: int
    """Rows that are read beside the changed one."""
    reads: tuple[Read, ...]
    table: str = ""
    """As schema.table, if it is not the badge's own."""

    def __str__(self) -> str:
        on = f" on {self.table}" if self.table else ""
        return f"each {self.event}{on} {self.summary}"

    @property
    def summary(self) -> str:
        """What the check reads, and its cost."""
        if not self.reads:
            return f"reads only the changed row (cost {self.cost:,.0f})"
        whose = f"user {self.user}, who has the most rows" if self.user is not None else "an average user"
        return f"reads {' and '.join(map(str, self.reads))} (cost {self.cost:,.0f}, for {whose})"


def of_writes(connection: BaseDatabaseWrapper, target: Target, analysed: AnalysedDefinition) -> tuple[Write, ...]:
    """The worst case of each write after which a badge is checked."""
    facts = analysed.primary
    user = _heaviest_user(connection, facts)
    relations = _Relations(connection)
    with rolled_back(connection), connection.cursor() as cursor:
        # As in the generated functions: only a table without a suitable index is still read sequentially.
        cursor.execute("SET LOCAL enable_seqscan = off")
        writes = [_write(connection, relations, badge, user) for badge in checks(analysed)]
    # Two columns of a table may name a user each.
    return tuple({(write.table, write.event): write for write in reversed(writes)}.values())[::-1]


def measure(connection: BaseDatabaseWrapper, target: Target, analysed: AnalysedDefinition) -> float:
    """The milliseconds that PostgreSQL needs to check the badge once, for the user with the most rows.

    The condition runs, under the settings of the block around the call.
    """
    user = _heaviest_user(connection, analysed.primary)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        badge = next(checks(analysed))
        found = _explain(connection, _statement(badge, user, "operations/measured_write.sql"))
    return float(found["Actual Total Time"])


def _heaviest_user(connection: BaseDatabaseWrapper, facts: Facts) -> str | None:
    query = template("operations/heaviest_user.sql").format(
        schema=sql.Literal(facts.table.schema),
        name=sql.Literal(facts.table.name),
        user_name=sql.Literal(facts.user.name),
        user=sql.Identifier(facts.user.name),
        table=expressions.rows_of(facts.table),
    )
    [(user,)] = fetch(connection, query.as_string())
    return None if user is None else str(user)


def _statement(badge: Check, user: str | None, file: str) -> sql.Composed:
    facts = badge.facts
    rows = [
        _row(facts, record, columns, user)
        for record, columns in (("new", facts.new_columns), ("old", facts.old_columns))
        if columns and not badge.is_state
    ]
    condition = _state(badge, user) if badge.is_state else expressions.condition_of(badge, is_scoped=len(rows) > 1)
    if path := badge.table.path:
        start = sql.SQL("(SELECT NULL::{} OFFSET 0)").format(expressions.type_of(path.first))
        condition = sql.SQL("{}, {}").format(condition, expressions.user_by(path, start))
    return template(file).format(
        condition=condition,
        rows=sql.SQL(" CROSS JOIN ").join(rows) if rows else sql.SQL("(SELECT) AS nothing"),
    )


def _write(connection: BaseDatabaseWrapper, relations: _Relations, badge: Check, user: str | None) -> Write:
    plan = _explain(connection, _statement(badge, user, "operations/write.sql"))
    reads: dict[tuple[str, bool], Read] = {}
    for read in _reads(relations, plan):
        known = reads.get((read.table, read.is_whole))
        if known:
            known = dataclasses.replace(known, rows=known.rows + read.rows, index=known.index or read.index)
        reads[read.table, read.is_whole] = known or read
    total = sum(read.rows for read in reads.values())
    table = "" if badge.table.oid == badge.facts.table.oid else badge.table.qualified_name
    return Write(badge.event, user, round(plan["Total Cost"] % DISABLED_COST, 2), total, tuple(reads.values()), table)


def _state(badge: Check, user: str | None) -> sql.Composed:
    """The worst case of the check of a user as a whole: all rows of the user are read, and none meets the condition."""
    type_ = trusted(badge.facts.user.type)
    key = sql.SQL("(SELECT NULL::{} OFFSET 0)" if user is None else "{}::{}")
    key_of_user = key.format(type_) if user is None else key.format(sql.Literal(user), type_)
    counted = f"(SELECT {badge.definition.condition}\n)::integer"
    of_all_rows = dataclasses.replace(
        badge,
        definition=dataclasses.replace(badge.definition, progress=counted),
        facts=dataclasses.replace(badge.facts, type="integer"),
    )
    return expressions.state_of_progress(of_all_rows, key_of_user, expressions.NO_THING)


def _row(facts: Facts, record: str, columns: Sequence[str], user: str | None) -> sql.Composed:
    """The changed row, as far as PostgreSQL may know it when it plans: which user's it is.

    Of the other columns it must not see a value, or it might find out that this row does not meet the condition, and
    plan to read nothing.
    """
    types = {column.name: trusted(column.type) for column in facts.table.columns}
    seen, hidden = [], []
    for name in columns:
        column = sql.Identifier(name)
        if name == facts.user.name and user is not None:
            seen.append(sql.SQL("{}::{} AS {}").format(sql.Literal(user), types[name], column))
        else:
            seen.append(sql.SQL("hidden.{}").format(column))
            hidden.append(sql.SQL("NULL::{} AS {}").format(types[name], column))
    return (
        sql.SQL("(SELECT {} FROM (SELECT {} OFFSET 0) AS hidden) AS {}").format(
            sql.SQL(", ").join(seen), sql.SQL(", ").join(hidden), sql.Identifier(record)
        )
        if hidden
        else sql.SQL("(SELECT {}) AS {}").format(sql.SQL(", ").join(seen), sql.Identifier(record))
    )


def _explain(connection: BaseDatabaseWrapper, statement: sql.Composed) -> dict[str, Any]:
    [(found,)] = fetch(connection, statement.as_string())
    [entry] = from_json(found)
    return dict(entry["Plan"])


@dataclasses.dataclass(frozen=True, slots=True)
class _Relation:
    rows: int
    root_schema: str
    root_name: str
    """Its partitioned table, or itself."""
    root_rows: int
    is_partitioned: bool
    texts: frozenset[str]
    """The columns that an index finds though they are compared as text."""


class _Relations:
    """Sizes and roots of the tables in a plan, each queried once."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.known: dict[tuple[str, str], _Relation] = {}

    def look_up(self, schema: str, name: str) -> _Relation:
        if (schema, name) not in self.known:
            [(root_schema, root_name, is_partitioned, texts)] = fetch(
                self.connection,
                """
                SELECT n.nspname, c.relname, c.relkind = 'p',
                       ARRAY(SELECT a.attname::text FROM pg_attribute a
                             WHERE a.attrelid = c.oid AND a.atttypid = 'varchar'::regtype)
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.oid = coalesce(pg_partition_root(%s::regclass), %s::regclass)
                """,
                [qualified(schema, name).as_string()] * 2,
            )
            rows = self._rows(schema, name)
            root_rows = self._rows(root_schema, root_name) if is_partitioned else rows
            self.known[schema, name] = _Relation(
                rows, root_schema, root_name, root_rows, is_partitioned, frozenset(texts)
            )
        return self.known[schema, name]

    def _rows(self, schema: str, name: str) -> int:
        statement = template("operations/table_size.sql").format(table=qualified(schema, name))
        return int(_explain(self.connection, statement)["Plan Rows"])


def _reads(
    relations: _Relations, node: Mapping[str, Any], executions: float = 1, limit: float | None = None
) -> Iterator[Read]:
    """What a node of a plan reads, and the nodes below it.

    :param limit: the number of its rows after which a LIMIT ends it.
    """
    if "Relation Name" in node:
        yield _read(relations, node, executions, limit)
    children = node.get("Plans", ())
    outer = max([1.0, *(child["Plan Rows"] for child in children if child["Parent Relationship"] == "Outer")])
    for child in children:
        times = executions
        if child["Parent Relationship"] == "SubPlan":
            times *= max(1, node["Plan Rows"])
        elif (
            child["Parent Relationship"] == "Inner"
            and node["Node Type"] == "Nested Loop"
            and child["Node Type"] != "Materialize"
        ):
            times *= outer
        yield from _reads(relations, child, times, node["Plan Rows"] if node["Node Type"] == "Limit" else None)


def _read(relations: _Relations, node: Mapping[str, Any], executions: float, limit: float | None) -> Read:
    relation = relations.look_up(node["Schema"], node["Relation Name"])
    filter_ = node.get("Filter", "")
    # An index serves as well to read everything, in its order or because it is smaller; a LIMIT may end that soon.
    narrowing = {"Index Scan": "Index Cond", "Index Only Scan": "Index Cond", "Bitmap Heap Scan": "Recheck Cond"}
    reads_everything = narrowing.get(node["Node Type"], "Node Type") not in node
    is_whole = node["Node Type"] == "Seq Scan" or (reads_everything and bool(filter_ or limit is None))
    schema, name = relation.root_schema, relation.root_name
    columns = tuple(dict.fromkeys(_compared_columns(filter_, node["Alias"], relation.texts)))
    index = ""
    if is_whole and columns:
        index = create_index(schema, name, columns, is_partitioned=relation.is_partitioned)
    read = relation.rows if is_whole else node["Plan Rows"]
    if limit is not None and not is_whole and not filter_:
        read = min(read, limit)
    rows = max(1, round(read * executions))
    return Read(f"{schema}.{name}", rows, relation.root_rows, is_whole, index, bool(filter_))


def create_index(schema: str, name: str, columns: tuple[str, ...], *, is_partitioned: bool) -> str:
    """The statement that makes an index, without keeping writers waiting where PostgreSQL can do that."""
    # Not CONCURRENTLY on a partitioned table: PostgreSQL rejects it.
    concurrently = sql.SQL("" if is_partitioned else " CONCURRENTLY")
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("CREATE INDEX{} ON {} ({});").format(concurrently, qualified(schema, name), names).as_string()


def _compared_columns(filter_: str, alias: str, texts: Collection[str]) -> Iterator[str]:
    """The columns that a filter compares for equality with what does not come from their own table.

    It is PostgreSQL's own text, in which every operation stands between parentheses and every column has its table.
    """
    table = rf"(?:{re.escape(alias)}|{re.escape(sql.Identifier(alias).as_string())})\."
    column = re.compile(rf"{table}(?P<name>{_NAME})|\({table}(?P<cast>{_NAME})\)::text")
    for term in _split(_without_parentheses(filter_), " AND "):
        sides = list(_split(_without_parentheses(term), " = "))
        for side, other in (sides, sides[::-1]) if len(sides) == 2 else ():
            match = column.fullmatch(side)
            if match and not re.search(table, other):
                name = fold(match["name"] or match["cast"])
                if match["name"] or name in texts:
                    yield name


def _split(text: str, separator: str) -> Iterator[str]:
    """The parts of an expression between a separator that stands in no parentheses."""
    depth = start = 0
    for token in _TOKEN.finditer(text):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if token[0] == separator and not depth:
            yield text[start : token.start()]
            start = token.end()
    yield text[start:]


def _without_parentheses(text: str) -> str:
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if not depth:
            is_around = token[0] == ")" and text.startswith("(") and token.end() == len(text)
            return text[1:-1] if is_around else text
    return text
