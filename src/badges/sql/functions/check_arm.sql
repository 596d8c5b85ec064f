    -- {name}
    IF badges_check.badge_code = {code} AND badges_check.asks = {event} AND {is_thing} THEN
        IF NOT (badges_check.new_row ?& {new} AND badges_check.old_row ?& {old}) THEN
            RAISE undefined_column USING MESSAGE = {gone};
        END IF;
        SELECT coalesce({condition}, false), {evidence}
        INTO earned, evidence
        FROM {rows};
{others}        RETURN;
    END IF;
