-- What an answer will see, as a snapshot; the state of all definitions; and whether a badge has come or gone that an answer made
-- under an earlier snapshot could not see. Transactions from its xmax on had not begun then, those in xip had not ended. Those
-- beyond our own xmax are events of another server that a dump brought along. Our own writes are in no snapshot.
SELECT pg_current_snapshot()::text,
       (SELECT md5(coalesce(string_agg(d::text, ' ' ORDER BY d.code COLLATE "C"), '')) FROM {definitions} AS d),
       pg_current_xact_id_if_assigned() IS NOT NULL
       OR EXISTS (
           SELECT FROM {events} AS e
           WHERE e.transaction >= {xmax} AND e.transaction < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
             AND {concerned}
       )
       OR EXISTS (SELECT FROM {events} AS e WHERE e.transaction = ANY ({xip}::bigint[]) AND {concerned})
