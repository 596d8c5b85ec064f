IF NOT ({is_stored}) THEN
    RAISE undefined_column USING
        MESSAGE = {message}, COLUMN = 'evidence';
END IF;
