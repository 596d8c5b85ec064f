                    -- Nobody holds a badge twice, so what is among the rows before and after has stayed. The others have
                    -- another user, code or thing: each has gone there and come here.
                    SELECT side.user_id, side.code, side.thing, (array_agg(side.evidence))[1] AS evidence,
                           min(side.kind) AS kind, 'moved' AS cause
                    FROM (
                        SELECT b.user_id, b.code::text AS code, b.thing, b.evidence, 'revoked' AS kind FROM badges_old AS b
                        UNION ALL
                        SELECT b.user_id, b.code::text, b.thing, b.evidence, 'awarded' FROM badges_new AS b
                    ) AS side
                    GROUP BY side.user_id, side.code, side.thing
                    HAVING count(*) = 1
                    ORDER BY kind DESC
