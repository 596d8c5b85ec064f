-- What a job does that recounts everything: who has enough rows and lacks the badge gets it.
INSERT INTO badges_badge (user_id, code)
SELECT s.user_id, 'collector' FROM dummy_sketch AS s GROUP BY s.user_id HAVING count(*) >= %s
ON CONFLICT DO NOTHING
