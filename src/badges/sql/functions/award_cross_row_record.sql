-- Other rows decide these badges.
SELECT {known_user},
       {thing},
       {bucket},
       {held}
INTO own.the_user, own.the_thing, own.bucket, own.held
FROM {rows}
WHERE {is_own_table};
{defer}
IF {one_is_wanted} THEN
    {one}
ELSIF own.bucket IS NULL
      AND NOT {is_own_table}
THEN
    {misplaced}
END IF;
