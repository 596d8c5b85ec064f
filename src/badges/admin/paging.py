"""Pagination of long lists without counting all rows."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db import connections
from django.db.models import QuerySet
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from badges.database import fetch

COUNTED = 10_000
"""Rows that are counted at most."""


class LongListPaginator(Paginator):  # type: ignore[type-arg]
    """Counts short lists; uses PostgreSQL's estimate for a whole long table, and ends a long selection early.

    :ivar note: for the template, what the count means if it is not exact.
    """

    object_list: QuerySet[Any]
    note: Any = ""

    @cached_property
    def count(self) -> int:
        counted = self.object_list.order_by().values("pk")[: COUNTED + 1].count()
        if counted <= COUNTED:
            return counted
        if self.object_list.query.where:
            self.note = _("There are more. Search or filter further to see them.")
            return COUNTED
        self.note = _("The number is an estimate of PostgreSQL.")
        return max(counted, self._estimate())

    def _estimate(self) -> int:
        """The estimate of the last ANALYZE, VACUUM or CREATE INDEX; -1 without any."""
        connection = connections[self.object_list.db]
        table = connection.ops.quote_name(self.object_list.model._meta.db_table)
        [(rows,)] = fetch(connection, "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [table])
        return int(rows)
