-- A job that recounts everything: users who have enough rows and lack the badge are awarded it.
INSERT INTO badges_badge (user_id, code)
SELECT s.user_id, 'collector' FROM dummy_sketch AS s GROUP BY s.user_id HAVING count(*) >= %s
ON CONFLICT DO NOTHING
