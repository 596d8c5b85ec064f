CREATE OR REPLACE FUNCTION {function}(place text, columns text[], types regtype[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $badges$
-- Raises an error if columns of a table have other types than when badges_check was made.
-- Stored values of the new types may be none of the old ones. The check is kept until create_badge_triggers has run.
{origin}
BEGIN
    IF EXISTS (
        SELECT FROM unnest(columns, types) AS made (name, type)
        JOIN pg_attribute AS a ON a.attrelid = to_regclass(place) AND a.attname = made.name AND NOT a.attisdropped
        JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE t.typtype <> 'd' AND a.atttypid <> made.type)
    THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('the type of a column of %s has changed', place),
            HINT = 'Run create_badge_triggers.';
    END IF;
END
$badges$
