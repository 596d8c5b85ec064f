
-- Carries out statements, one after another.
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY {statements}::text[] LOOP
        EXECUTE statement;
    END LOOP;
END
