CREATE OR REPLACE FUNCTION {function}(
    asks text,
    occasion jsonb,
    users {key}[],
    things text[],
    news jsonb[],
    olds jsonb[],
    codes text[],
    reads jsonb[],
    tenant text DEFAULT ''::text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $badges$
-- Leaves a pending check of each badge for each changed row, where a lock or a resource could not be had.
-- Reads no table: whatever was locked a moment ago may be locked still.
{origin}
BEGIN
    PERFORM {record}(
        array_agg(each.user_id),
        array_agg(each.thing),
        array_agg(each.code),
        array_agg(each.evidence),
        array_agg('check'::text))
    FROM (
        SELECT DISTINCT changed.user_id, changed.thing, badge.code,
               coalesce(
                   occasion,
                   jsonb_build_object(
                       'operation', asks,
                       'new', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(changed.new) AS c
                               WHERE badge.reads -> 'new' ? c.key),
                       'old', (SELECT jsonb_object_agg(c.key, c.value) FROM jsonb_each(changed.old) AS c
                               WHERE badge.reads -> 'old' ? c.key))
                   || CASE tenant WHEN '' THEN '{{}}' ELSE jsonb_build_object('tenant', tenant) END) AS evidence
        FROM unnest(users, things, news, olds) AS changed (user_id, thing, new, old)
        CROSS JOIN unnest(codes, reads) AS badge (code, reads)
        WHERE changed.user_id IS NOT NULL AND changed.thing IS NOT NULL
    ) AS each;
END
$badges$
