-- Other rows decide these badges. Most statements write one row, which has a shorter path than many rows.
SELECT {known_user},
       {thing},
       {bucket},
       {held},
       (SELECT true
        FROM {rows}
        OFFSET 1 LIMIT 1)
INTO own.the_user, own.the_thing, own.bucket, own.held, own.are_many
FROM {rows}
WHERE {is_own_table}
LIMIT 1;
{defer}
IF own.are_many THEN
    {many}
ELSIF {one_is_wanted} THEN
    {one}
ELSIF own.bucket IS NULL
      AND NOT {is_own_table}
THEN
    {misplaced}
END IF;
