-- The events committed since the snapshot `seen`, and the current snapshot. At most the newest {most}; no quiet
-- ones, and none older than a week, as rows from a dump have the transaction ids of another server.
WITH now AS (
    SELECT pg_catalog.pg_current_snapshot() AS snapshot
)
SELECT now.snapshot::text, event.*
FROM now
LEFT JOIN LATERAL (
    SELECT e.id, e.transaction, e.at, e.user_id, e.code, e.thing, e.kind,
           (SELECT pg_catalog.jsonb_build_object(
                'name', d.name, 'description', d.description, 'image', d.image, 'points', d.points, 'secret', d.secret,
                'translations', d.translations)
            FROM {definitions} AS d WHERE d.code = e.code) AS definition
    FROM {events} AS e
    WHERE (e.transaction >= pg_catalog.pg_snapshot_xmax({seen}::pg_snapshot)::text::bigint
           OR e.transaction = ANY (ARRAY(SELECT pg_catalog.pg_snapshot_xip({seen}::pg_snapshot)::text::bigint)))
      AND pg_catalog.pg_visible_in_snapshot(e.transaction::text::xid8, now.snapshot)
      AND {whose}
      AND NOT e.quiet
      AND e.at > statement_timestamp() - interval '7 days'
    ORDER BY e.at DESC, e.id DESC
    LIMIT {most}
) AS event ON true
ORDER BY event.at, event.id
