-- The snapshot of the response (NULL in a transaction that has written, as its own rows are in no snapshot), a
-- digest of all definitions, and whether there is an event that an earlier snapshot does not show: transactions
-- from its xmax on had not begun then, those in xip had not ended. Ids beyond the current xmax come from a dump of
-- another server: ignored.
SELECT CASE WHEN pg_current_xact_id_if_assigned() IS NULL THEN pg_current_snapshot()::text END,
       (SELECT md5(coalesce(string_agg(d::text, ' ' ORDER BY d.code COLLATE "C"), '')) FROM {definitions} AS d),
       EXISTS (
           SELECT FROM {events} AS e
           WHERE e.transaction >= {xmax} AND e.transaction < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
             AND {concerned}
       )
       OR EXISTS (SELECT FROM {events} AS e WHERE e.transaction = ANY ({xip}::bigint[]) AND {concerned})
