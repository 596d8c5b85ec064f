-- How many rows PostgreSQL believes a table to have: its plan knows the size of the file, too.
EXPLAIN (FORMAT JSON) SELECT FROM {table}
