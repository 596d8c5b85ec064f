    -- {name}
    IF badges_check.badge_code = {code} AND badges_check.asks = 'state' THEN
        earned := coalesce({condition}, false);
        RETURN;
    END IF;
