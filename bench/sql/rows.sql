-- The same number of rows for each user, lying apart as they do in a table that has grown.
INSERT INTO dummy_sketch (user_id, title)
SELECT 1 + number % {users}, 'Sketch ' || number FROM generate_series(1, {rows}) AS number
