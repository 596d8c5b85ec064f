IF is_patient THEN
    -- A transaction that deletes the user has locked that row and waits for the badge, while this one has the badge
    -- and needs the user's row: a deadlock, whose victim might be the deletion. So this one gives up before
    -- deadlock_timeout.
    PERFORM set_config('lock_timeout', '500ms', true);
END IF;
