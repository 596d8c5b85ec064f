
-- Returns the user to whom a path leads from a value of its first column; NULL if there is none, or no such path.
{origin}
#variable_conflict use_column
BEGIN
    {arms}
    RETURN NULL;
END
