-- What a condition gives now for the rows of one user, those that it cannot tell apart only once; what is true comes first.
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
