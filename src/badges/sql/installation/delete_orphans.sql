-- Deletes the rows of users who were deleted while the foreign key was missing, as it would have done.
DELETE FROM {table} AS orphan
WHERE NOT EXISTS (SELECT FROM {users} AS u WHERE u.{user_key} = orphan.user_id)
