-- The users for whom one of their rows meets the badge's condition now, once each (once per subject),
-- with such a row as evidence.
SELECT DISTINCT ON ({each_award})
       {user} AS user_id,
       {code} AS code,
       {thing} AS thing,
       {evidence}
           AS evidence,
       {expires_at} AS expires_at
FROM (
    -- OFFSET 0: the condition is evaluated only for rows that pass these filters.
    SELECT new.*
    FROM {rows}
    WHERE {filters}
    OFFSET 0
) AS new
WHERE {condition}
ORDER BY {each_award}
