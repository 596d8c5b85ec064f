-- How PostgreSQL would look at one badge after one write; VERBOSE names the table of each column.
EXPLAIN (VERBOSE, FORMAT JSON) SELECT {condition} FROM {rows}
