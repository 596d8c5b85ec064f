-- The next users in the order of their keys: the last key, and how many they are. Not every type of key has max().
SELECT (array_agg(batch.key ORDER BY batch.key DESC))[1], count(*)
FROM (SELECT {key} AS key FROM {users} WHERE {bound} ORDER BY {key} LIMIT {size}) AS batch
