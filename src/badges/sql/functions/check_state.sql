-- {name}, for the user as a whole
IF {applies} THEN
    earned := coalesce({condition}, false);
    RETURN;
END IF;
