-- The plan of the check of one badge after one write; VERBOSE names the table of each column.
EXPLAIN (VERBOSE, FORMAT JSON) SELECT {condition} FROM {rows}
