-- For each badge: how often its condition failed, and how many checks are pending.
SELECT d.code, coalesce(failed.occurrences, 0), coalesce(pending.checks, 0)
FROM {definitions} AS d
LEFT JOIN (
    SELECT f.code, sum(f.occurrences)::bigint AS occurrences
    FROM {failures} AS f
    WHERE f.tenant = {tenant}
    GROUP BY f.code
) AS failed ON failed.code = d.code
LEFT JOIN (
    SELECT p.code, count(*) AS checks
    FROM {pending} AS p
    WHERE coalesce(p.evidence ->> 'tenant', '') = {tenant}
    GROUP BY p.code
) AS pending ON pending.code = d.code
