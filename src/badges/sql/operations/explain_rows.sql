-- The value of a condition for the rows of one user, each distinct row once, true ones first.
SELECT seen.earned, seen.evidence, seen.thing
FROM (
    SELECT (SELECT {condition}
           ) AS earned,
           {evidence} AS evidence,
           {thing} AS thing
    FROM {rows}
    LIMIT {most}
) AS seen
ORDER BY seen.earned DESC NULLS LAST, seen.evidence, seen.thing
