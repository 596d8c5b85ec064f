PERFORM {postpone}(
    {asks},
    {evidence},
    pg_catalog.array_agg({key_of_user})::{key}[],
    pg_catalog.array_agg({thing}),
    pg_catalog.array_agg({new}),
    pg_catalog.array_agg({old}),
    {codes},
    ARRAY[{reads}]{tenant})
FROM {rows}
WHERE {user} IS NOT NULL;
