-- The same as `write.sql`, carried out and measured.
EXPLAIN (ANALYZE, TIMING, BUFFERS OFF, FORMAT JSON) SELECT {condition} FROM {rows}
