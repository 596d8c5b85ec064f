-- One row trigger for each badge, as in 0.1, but for today's table and without its error for a second award.
CREATE FUNCTION "badge_{code}"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NOT EXISTS (SELECT 1 FROM badges_badge WHERE user_id = NEW.user_id AND code = '{code}')
        AND (SELECT {condition})) IS TRUE THEN
        INSERT INTO badges_badge (user_id, code) VALUES (NEW.user_id, '{code}') ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER "badge_{code}" AFTER {event} ON dummy_sketch FOR EACH ROW EXECUTE FUNCTION "badge_{code}"();
