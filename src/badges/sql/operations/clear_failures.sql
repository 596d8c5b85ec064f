-- Deletes records of failures, and returns how many failures they counted. A locked row is being counted up by a writer:
-- the condition has just failed again, so there is no point in waiting for that writer.
WITH cleared AS (
    DELETE FROM {failures}
    WHERE id IN (SELECT f.id FROM {failures} AS f WHERE f.tenant = {tenant} AND {condition} FOR UPDATE SKIP LOCKED)
    RETURNING occurrences
)
SELECT coalesce(sum(occurrences), 0)::bigint FROM cleared
