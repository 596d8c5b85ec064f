CREATE OR REPLACE FUNCTION {function}(evidence jsonb)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Returns the evidence of an award, in which a value above 1 kB is its first characters, its length and a digest.
-- The values of pending checks stay whole, as a condition is evaluated with them.
{origin}
BEGIN
    -- The cast, as a stored value may be compressed.
    IF octet_length(evidence::text) > 1024 THEN
        SELECT evidence || jsonb_object_agg(side.name, side.columns)
        INTO evidence
        FROM (
            SELECT side.key AS name,
                   jsonb_object_agg(
                       each.key,
                       CASE WHEN octet_length(each.text) > 1024 THEN
                           {long_value}
                       ELSE each.value END) AS columns
            FROM jsonb_each(evidence) AS side
            CROSS JOIN LATERAL (
                SELECT c.key, c.value, c.value #>> '{{}}' AS text FROM jsonb_each(side.value) AS c
                OFFSET 0  -- otherwise evaluated for each use of its result
            ) AS each
            WHERE side.key IN ('new', 'old') AND jsonb_typeof(side.value) = 'object'
            GROUP BY side.key
        ) AS side
        HAVING count(*) > 0;
    END IF;
    RETURN evidence;
END
$badges$
