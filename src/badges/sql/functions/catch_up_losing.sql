-- A concurrent write that makes the condition false does not see these awards. Either it holds the lock of the
-- user's bucket, and a pending check is left for after it; or it fails to get this lock and leaves one itself.
INSERT INTO {pending} (bucket, user_id, code, thing, what, evidence, noted_by)
SELECT fresh.bucket, fresh.user_id, {code}, fresh.thing, {tenant}, {evidence}::jsonb, 0
FROM (
    SELECT {awarded_bucket} AS bucket, b.user_id, b.thing
    FROM {badges} AS b
    WHERE b.code COLLATE "C" OPERATOR(pg_catalog.=) {code}
      AND b.awarded_at OPERATOR(pg_catalog.=) pg_catalog.statement_timestamp()
    OFFSET 0
) AS fresh
WHERE NOT pg_catalog.pg_try_advisory_xact_lock({lock}, fresh.bucket)
ON CONFLICT DO NOTHING;
-- With no noted_by this transaction settles these checks itself: no concurrent transaction needs them.
WITH losing AS (
    SELECT lost.user_id, lost.thing
    FROM (
        {losing}
    ) AS lost
    WHERE NOT EXISTS (
        SELECT FROM {pending} AS p
        WHERE p.user_id {equals} lost.user_id AND p.code OPERATOR(pg_catalog.=) {code}
          AND p.thing OPERATOR(pg_catalog.=) lost.thing
          AND p.what OPERATOR(pg_catalog.=) {tenant}
          AND (p.evidence OPERATOR(pg_catalog.->>) 'asks') OPERATOR(pg_catalog.=) {asks})
    LIMIT {most}
),
noted AS (
    INSERT INTO {pending} (bucket, user_id, code, thing, what, evidence, noted_by)
    SELECT {bucket}, losing.user_id, {code}, losing.thing,
           {tenant}, {evidence}::jsonb, 0
    FROM losing
    ON CONFLICT DO NOTHING
    RETURNING user_id, code, thing
)
SELECT losing_users OPERATOR(pg_catalog.||) pg_catalog.array_agg(noted.user_id),
       losing_codes OPERATOR(pg_catalog.||) pg_catalog.array_agg(noted.code::text),
       losing_things OPERATOR(pg_catalog.||) pg_catalog.array_agg(noted.thing)
INTO losing_users, losing_codes, losing_things
FROM noted;
