-- What an answer will see, as a snapshot, NULL in a transaction that has written itself, as that is in no snapshot; the state of
-- all definitions; and whether a badge has come or gone that an answer under an earlier snapshot could not see. Transactions from
-- its xmax on had not begun then, those in xip had not ended. What lies beyond our own xmax was brought from another server by a dump.
SELECT CASE WHEN pg_current_xact_id_if_assigned() IS NULL THEN pg_current_snapshot()::text END,
       (SELECT md5(coalesce(string_agg(d::text, ' ' ORDER BY d.code COLLATE "C"), '')) FROM {definitions} AS d),
       EXISTS (
           SELECT FROM {events} AS e
           WHERE e.transaction >= {xmax} AND e.transaction < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
             AND {concerned}
       )
       OR EXISTS (SELECT FROM {events} AS e WHERE e.transaction = ANY ({xip}::bigint[]) AND {concerned})
