-- {name}, for a changed row
IF {applies} THEN
    {zone}
    {stored}
    {too_long}
    SELECT coalesce({condition}, false),
           {evidence}
    INTO earned, evidence
    FROM {rows};
    {others}
    RETURN;
END IF;
