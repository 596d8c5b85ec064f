CREATE OR REPLACE FUNCTION {function}()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
AS $badges$
-- Trigger function: has pending checks follow a user whose key changes.
-- Each update of a user calls it, as a trigger for the key alone (UPDATE OF) would keep the site from altering the type
-- of that column. So it has no settings, which cost more than the comparison: all that it calls is named with its
-- schema.
{origin}
BEGIN
    IF OLD.{user_key} OPERATOR(pg_catalog.=) NEW.{user_key} THEN
        RETURN NULL;
    END IF;
    PERFORM {note_key}(OLD.{user_key}::pg_catalog.text, NEW.{user_key}::pg_catalog.text);
    RETURN NULL;
END
$badges$
