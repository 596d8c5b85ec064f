        -- Other rows decide these. Most statements write one row, which needs none of the sets that many rows need.
        SELECT {known_user}, {thing}, {bucket}, {held}, (SELECT true FROM {rows} OFFSET 1 LIMIT 1)
        INTO own.the_user, own.the_thing, own.bucket, own.held, own.are_many
        FROM {rows}
        WHERE {is_own_table}
        LIMIT 1;
        IF own.are_many THEN
{many}
        ELSIF {one_is_wanted} THEN
{one}
        END IF;
