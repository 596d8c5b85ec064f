-- The snapshot of the response (NULL in a transaction that has written, as its own rows are in no snapshot), a
-- digest of the definitions, and whether there is an event that an earlier snapshot does not show: transactions
-- from its xmax on had not begun then, those in xip had not ended. Events with ids beyond the current xmax come from
-- a dump of another server: ignored. An earlier snapshot beyond it is from before a restore: it proves nothing.
-- Secret badges that the viewer does not see count for neither: a changed ETag would reveal that another user has
-- earned one. The viewer's own events always count: they decide which secret badges the viewer sees.
WITH hidden AS MATERIALIZED (
    SELECT d.code FROM {definitions} AS d WHERE {hidden}
), concerning AS NOT MATERIALIZED (
    SELECT e.transaction FROM {events} AS e
    WHERE {concerned} AND (e.user_id = {viewer} OR e.code NOT IN (SELECT h.code FROM hidden AS h))
)
SELECT CASE WHEN pg_current_xact_id_if_assigned() IS NULL THEN pg_current_snapshot()::text END,
       (SELECT md5(coalesce(string_agg(d::text, ' ' ORDER BY d.code COLLATE "C"), '')) FROM {definitions} AS d
        WHERE d.code NOT IN (SELECT h.code FROM hidden AS h)),
       EXISTS (
           SELECT FROM concerning AS c
           WHERE c.transaction >= {xmax} AND c.transaction < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
       )
       OR {xmax} > pg_snapshot_xmax(pg_current_snapshot())::text::bigint
       OR EXISTS (SELECT FROM concerning AS c WHERE c.transaction = ANY ({xip}::bigint[]))
