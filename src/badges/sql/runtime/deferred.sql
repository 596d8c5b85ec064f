CREATE OR REPLACE FUNCTION {function}(asked text[])
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Returns those of the badges that are deferred: three evaluations of theirs took longer than BADGES_BUDGET.
-- No write evaluates them: it leaves pending checks. NULL if there are none. As long as no evaluation has taken too
-- long, the session reads the table once a second. It may set badges.look itself, and then evaluates what is slow.
{origin}
BEGIN
    IF NOT EXISTS (SELECT FROM {overruns}) THEN
        PERFORM set_config('badges.look', (date_part('epoch', clock_timestamp())::bigint + 1)::text, false);
        RETURN NULL;
    END IF;
    RETURN (
        SELECT array_agg(slow.code)
        FROM (
            SELECT each.code
            FROM {overruns} AS o
            CROSS JOIN unnest(o.codes) AS each (code)
            WHERE {budget} > 0 AND each.code = ANY (asked)
            GROUP BY each.code
            HAVING count(*) >= 3
        ) AS slow);
END
$badges$
