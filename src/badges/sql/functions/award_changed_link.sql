-- A change gave rows to other users, who are checked as a whole. Transactions that are open may not have seen it: so a
-- new user is left a pending check as well, which waits for their end.
IF {is_own_table}
THEN
    {defer}
    {many}
ELSE
    {misplaced}
END IF;
