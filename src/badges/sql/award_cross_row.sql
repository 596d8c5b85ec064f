        -- Other rows decide these. Most statements write one row, which needs none of the sets that many rows need.
        SELECT {known_user}, (SELECT true FROM {source} OFFSET 1 LIMIT 1), {held}
        INTO own.the_user, own.are_many, own.held
        FROM {rows}
        LIMIT 1;
        IF own.are_many THEN
{many}
        ELSIF own.the_user IS NOT NULL AND cardinality(own.held) < {number} THEN
{one}
        END IF;
