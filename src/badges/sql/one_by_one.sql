            PERFORM {function}(
                {event}, array_agg({known_user}), array_agg({new}), array_agg({old}),
                {codes}, {cross_row})
            FROM {rows}
            WHERE {user} IS NOT NULL;
