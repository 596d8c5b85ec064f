CREATE OR REPLACE FUNCTION {function}(columns json)
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Returns the columns of a changed row as evidence and pending checks store them.
-- A value above 32 MB is its first characters, its length and a digest, as jsonb holds no more than 256 MB. A check
-- that needs such a value is evaluated for the row in its table.
{origin}
BEGIN
    IF octet_length(columns::text) <= 33554432 THEN
        RETURN columns::jsonb;
    END IF;
    RETURN (
        SELECT jsonb_object_agg(
                   each.key,
                   CASE WHEN octet_length(each.value::text) > 33554432 THEN
                       {long_value}
                   ELSE each.value::jsonb END)
        FROM json_each(columns) AS each
        LEFT JOIN LATERAL (
            SELECT each.value #>> '{{}}' AS text
            OFFSET 0  -- otherwise evaluated for each use of its result
        ) AS long ON octet_length(each.value::text) > 33554432);
END
$badges$
