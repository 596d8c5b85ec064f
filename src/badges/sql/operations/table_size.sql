-- The estimated number of rows of a table: the planner takes the size of its file into account.
EXPLAIN (FORMAT JSON) SELECT FROM {table}
