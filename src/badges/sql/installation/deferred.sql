-- The badges that are deferred, each with its longest evaluation in milliseconds.
SELECT each.code, max(o.milliseconds)
FROM {overruns} AS o
CROSS JOIN unnest(o.codes) AS each (code)
GROUP BY each.code
HAVING count(*) >= 3
ORDER BY each.code
