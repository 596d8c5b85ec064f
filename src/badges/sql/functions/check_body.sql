
-- Evaluates the condition of one badge for one user.
-- If "asks" is an event (insert, update, delete): for a changed row whose values were stored, and, if among_others is
-- true, for the user's other rows, as one of them may meet the condition by now. If it is "state", or an event that no
-- longer causes a check of the badge: for the user as a whole, by the rows that exist. Returns NULL for a badge that is
-- no longer installed. Raises the errors of the condition.
{origin}
#variable_conflict use_column
BEGIN
    {arms}
END
