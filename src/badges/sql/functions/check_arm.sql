-- {name}, for a changed row
IF {applies} THEN
    {zone}
    {stored}
    {too_long}
    {evaluation}
    {others}
    RETURN;
END IF;
