-- The same number of rows for each user, scattered as in a table that has grown over time.
INSERT INTO dummy_sketch (user_id, title)
SELECT 1 + number % {users}, 'Sketch ' || number FROM generate_series(1, {rows}) AS number
