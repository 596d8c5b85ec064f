-- Rows for several users by one statement.
INSERT INTO dummy_sketch (user_id, title) SELECT 1 + number %% %s::int, 'Bulk' FROM generate_series(1, %s::int) AS number
