            ELSE
                -- It may have been awarded or taken back since it was looked up, as the lock was another's then.
                own.held := {held};
