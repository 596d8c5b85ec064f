        -- Other rows decide these. Most statements write one row, which needs none of the sets that many rows need.
        SELECT {known_user}, {thing}, (SELECT true FROM {rows} OFFSET 1 LIMIT 1), {held}
        INTO own.the_user, own.the_thing, own.are_many, own.held
        FROM {rows}
        LIMIT 1;
        IF own.are_many THEN
{many}
        ELSIF own.the_user IS NOT NULL AND own.the_thing IS NOT NULL AND {one_is_wanted} THEN
{one}
        END IF;
