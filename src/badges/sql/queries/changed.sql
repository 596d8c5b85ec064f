-- Whether a remembered result is still valid: the snapshot (NULL in a transaction that has written, as its own rows are
-- in no snapshot), a digest of the table of badges and of their points, and the codes of the events that an earlier
-- snapshot does not show: transactions from its xmax on had not begun then, those in xip had not ended. As in
-- api/state.sql, events with ids beyond the current xmax come from a dump of another server, and an earlier snapshot
-- beyond it is from before a restore: then the codes are NULL.
SELECT CASE WHEN pg_current_xact_id_if_assigned() IS NULL THEN pg_current_snapshot()::text END,
       (SELECT md5(concat({badges_name}::regclass::oid, string_agg(concat(' ', d.code, ' ', d.points), '' ORDER BY d.code)))
        FROM {definitions} AS d),
       CASE WHEN NOT {is_compared} THEN '{{}}'::text[]
            WHEN {xmax} <= pg_snapshot_xmax(pg_current_snapshot())::text::bigint THEN ARRAY(
                SELECT e.code FROM {events} AS e
                WHERE e.transaction >= {xmax} AND e.transaction < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
                UNION
                SELECT e.code FROM {events} AS e WHERE e.transaction = ANY ({xip}::bigint[])
            )::text[]
       END
