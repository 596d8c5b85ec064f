        -- Other rows decide these.
        SELECT {known_user}, {held}
        INTO own.the_user, own.held
        FROM {rows};
        IF own.the_user IS NOT NULL AND cardinality(own.held) < {number} THEN
{one}
        END IF;
