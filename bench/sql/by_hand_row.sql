-- Row-local badges: the function is called only for rows that earn one.
CREATE FUNCTION by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO badges_badge (user_id, code)
    SELECT NEW.user_id, badge.code FROM (VALUES {values}) AS badge (code, earned) WHERE badge.earned
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER by_hand AFTER {event} ON dummy_sketch FOR EACH ROW WHEN ({any}) EXECUTE FUNCTION by_hand();
