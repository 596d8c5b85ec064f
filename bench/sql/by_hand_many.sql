-- One function for all badges of the table; it looks up the badges that are held once, and locks only if necessary.
CREATE FUNCTION by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    held text[] := ARRAY(SELECT code FROM badges_badge WHERE user_id = NEW.user_id);
    reached bigint;
BEGIN
    IF NOT held @> '{counting}'::text[] THEN
        {lock}
    END IF;
{arms}
    RETURN NULL;
END
$$;
CREATE TRIGGER by_hand AFTER {event} ON dummy_sketch FOR EACH ROW EXECUTE FUNCTION by_hand();
