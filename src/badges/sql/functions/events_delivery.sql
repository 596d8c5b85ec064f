, delivery AS (
    INSERT INTO {deliveries} (event_id, user_id, at)
    SELECT event.id, event.user_id, event.at FROM event WHERE NOT event.quiet
)
