        -- Other rows decide these.
        SELECT {known_user}, {thing}, {held}
        INTO own.the_user, own.the_thing, own.held
        FROM {rows};
        IF own.the_user IS NOT NULL AND own.the_thing IS NOT NULL AND {one_is_wanted} THEN
{one}
        END IF;
