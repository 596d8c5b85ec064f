-- A hand-written trigger for a cross-row badge; {lock} is empty in the version that loses badges.
CREATE FUNCTION by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM badges_badge WHERE user_id = NEW.user_id AND code COLLATE "C" = '{code}') THEN
        RETURN NULL;
    END IF;
    {lock}
    IF (SELECT {condition}) THEN
        INSERT INTO badges_badge (user_id, code) VALUES (NEW.user_id, '{code}') ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER by_hand AFTER {event} ON dummy_sketch FOR EACH ROW EXECUTE FUNCTION by_hand();
