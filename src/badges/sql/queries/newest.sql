-- The newest {most} awards that a viewer may see, of badges that are still held and by no quiet award. At most {each} are
-- of the same badge while there are others, so that a backfill or an import hides no other badge. For each badge, only
-- the newest {searched} events are read, by the index on its code and the time.
SELECT id
FROM (
    SELECT event.id, event.transaction, event.at,
           row_number() OVER (PARTITION BY d.code ORDER BY event.at DESC) > {each} AS is_one_of_many
    FROM {definitions} AS d
    CROSS JOIN LATERAL (
        SELECT latest.id, latest.transaction, latest.at
        FROM (
            SELECT e.id, e.transaction, e.at, e.user_id, e.thing, e.kind, e.quiet
            FROM {events} AS e
            WHERE e.code = d.code AND e.at IS NOT NULL
            ORDER BY e.at DESC
            LIMIT {searched}
        ) AS latest
        WHERE latest.kind = 'awarded' AND NOT latest.quiet
          -- A badge that was revoked and awarded again has two events; the first is older than the badge.
          AND EXISTS (
              SELECT FROM {badges} AS b
              WHERE b.user_id = latest.user_id AND b.code COLLATE "C" = d.code AND b.thing = latest.thing
                AND (b.awarded_at IS NULL OR b.awarded_at <= latest.at)
                AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())
          )
        LIMIT {most}
    ) AS event
    WHERE NOT d.secret OR EXISTS (
        SELECT FROM {badges} AS own
        WHERE own.user_id = {viewer} AND own.code COLLATE "C" = d.code
          AND (own.expires_at IS NULL OR own.expires_at > statement_timestamp())
    )
) AS award
ORDER BY is_one_of_many, transaction DESC, at DESC
LIMIT {most}
