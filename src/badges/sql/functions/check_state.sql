    -- {name}
    IF badges_check.badge_code = {code} AND {is_thing} THEN
        earned := coalesce({condition}, false);
        RETURN;
    END IF;
