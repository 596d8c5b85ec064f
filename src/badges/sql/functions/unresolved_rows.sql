SELECT {thing} AS thing, badge.code,
       {evidence}
           OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
               'path', pg_catalog.jsonb_build_object('name', {name}, 'key', {start})) AS evidence
FROM {rows}
CROSS JOIN pg_catalog.unnest({codes}) AS badge (code)
WHERE {where}
