
-- Returns the current progress of these users towards each badge that has a goal.
-- NULL where the progress has no value or fails.
{origin}
#variable_conflict use_column
BEGIN
    {arms}
END
