NOT EXISTS (SELECT FROM {badges} AS b
            WHERE b.user_id {equals} {user}
              AND b.code COLLATE "C" OPERATOR(pg_catalog.=) {code}
              AND b.thing OPERATOR(pg_catalog.=) {thing}
              AND (b.expires_at IS NULL
                   OR b.expires_at OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())
            OFFSET 0)
