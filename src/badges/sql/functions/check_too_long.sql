-- The row is in its table; only the beginnings of its long values are stored.
IF {is_too_long} THEN
    earned := coalesce({condition}, false);
    RETURN;
END IF;
