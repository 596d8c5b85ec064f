NOT EXISTS (SELECT FROM {badges} AS b
            WHERE b.user_id = {user}
              AND b.code COLLATE "C" = {code}
              AND b.thing = {thing}
              AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())
            OFFSET 0)
