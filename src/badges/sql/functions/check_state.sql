-- {name}, for the user as a whole
IF {applies} THEN
    {zone}
    earned := coalesce({condition}, false);
    RETURN;
END IF;
