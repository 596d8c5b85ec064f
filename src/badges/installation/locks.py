"""The transactions that hold a lock, named for the operator who has to wait for them. Takes a connection."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from badges.database import fetch, template
from badges.functions import runtime

_ON_TABLE = sql.SQL("""l.locktype = 'relation' AND l.relation = (
      SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname || '.' || c.relname = {table})""")

_WRITING_TO_TABLES = sql.SQL("""l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.relation IN (
      SELECT coalesce(part.relid, wanted.oid::regclass)
      FROM unnest({tables}::bigint[]) AS wanted (oid)
      LEFT JOIN LATERAL pg_catalog.pg_partition_tree(wanted.oid::regclass) AS part ON true)""")

_ON_BUCKETS = sql.SQL("""l.locktype = 'advisory' AND l.objsubid = 2
  AND l.classid = {class_}::bigint::oid AND l.objid::bigint = ANY ({buckets}::bigint[])""")


def holders_of_table(connection: BaseDatabaseWrapper, table: str) -> tuple[str, ...]:
    """The transactions that hold any lock on a table.

    :param table: as schema.table.
    """
    return tuple(_holders(connection, _ON_TABLE.format(table=sql.Literal(table))).values())


def writers(connection: BaseDatabaseWrapper, tables: Sequence[int]) -> dict[str, str]:
    """The open transactions that have written to these tables or their partitions, each under an identifier.

    :param tables: the tables by oid.
    """
    return _holders(connection, _WRITING_TO_TABLES.format(tables=sql.Literal([*tables])))


def holders_of_buckets(connection: BaseDatabaseWrapper, buckets: Sequence[int]) -> tuple[str, ...]:
    """The transactions that hold the advisory lock on one of these buckets of users."""
    if not buckets:
        return ()
    locks = _ON_BUCKETS.format(class_=sql.Literal(runtime.ADVISORY_LOCK_CLASS), buckets=sql.Literal([*buckets]))
    return tuple(_holders(connection, locks).values())


def _holders(connection: BaseDatabaseWrapper, locks: sql.Composed) -> dict[str, str]:
    return dict(fetch(connection, template("installation/lock_holders.sql").format(locks=locks).as_string()))
