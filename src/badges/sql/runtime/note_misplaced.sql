CREATE OR REPLACE FUNCTION {function}(
    codes text[],
    own_table text,
    schema text,
    name text,
    tenant text DEFAULT ''::text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Records that a trigger function was fired by another table than its own, where it awards nothing.
-- The table was renamed, moved to another schema or made a shard. Each badge has one such failure per transaction.
{origin}
DECLARE
    noted CONSTANT jsonb := coalesce({sealed}('noted'), '{{}}');
BEGIN
    PERFORM {note_failure}(
        failed.code,
        '55000',
        format('its trigger was made for %s and fired on %I.%I; run create_badge_triggers', own_table, schema, name),
        1,
        tenant)
    FROM unnest(codes) AS failed (code)
    WHERE NOT noted ? ('55000' || failed.code);
END
$badges$
