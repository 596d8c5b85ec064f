-- The cheapest statement trigger with the rows of the statement.
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER nothing AFTER {event} ON dummy_sketch REFERENCING NEW TABLE AS news
FOR EACH STATEMENT EXECUTE FUNCTION nothing();
