-- Where there is nothing to record, as the user is deleted or has another key, no further table is needed: it
-- may be locked, and the change of the user must succeed.
IF NOT EXISTS (
    SELECT FROM (
        {found}
    ) AS change
    WHERE change.kind = 'awarded'
       OR (SELECT true FROM {users} AS u WHERE u.{user_key} = change.user_id) IS NOT NULL)
THEN
    RETURN NULL;
END IF;
IF is_patient THEN
    -- A transaction that deletes the user has locked that row and waits for the badge, while this one has the badge
    -- and needs the user's row: a deadlock, whose victim might be the deletion. So this one gives up before
    -- deadlock_timeout.
    PERFORM set_config('lock_timeout', '500ms', true);
END IF;
