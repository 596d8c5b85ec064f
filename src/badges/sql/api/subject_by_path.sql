-- Whether a user, to whom a path leads, has a row with a subject. The comparison of the values may use an index; that of
-- their text distinguishes 07 from 7.
SELECT EXISTS (
    SELECT FROM {table} AS t
    WHERE t.{per} = {thing} AND t.{per}::text = {thing}
      AND badges_user_of({name}, {path}, t.{first}::text)::text = {user}::text
)
