ELSE
    -- Read again under the lock, as another transaction may have changed it while holding the lock.
    own.held := {held};
