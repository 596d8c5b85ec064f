-- Deletes the rows that a unique index forbids, beside the oldest of each kind.
DELETE FROM {table} AS extra
USING {table} AS kept
WHERE kept.ctid < extra.ctid AND {same}
