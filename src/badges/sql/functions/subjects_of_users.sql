(SELECT {changed}, things.thing
 FROM ({users}) AS changed
 CROSS JOIN LATERAL (
     SELECT {subject} FROM {table} AS badges_row WHERE badges_row.{user} {equals} changed.user_id
     UNION
     SELECT b.thing FROM {badges} AS b WHERE b.user_id {equals} changed.user_id
       AND b.code COLLATE "C" OPERATOR(pg_catalog.=) {code}
 ) AS things (thing)) AS affected
