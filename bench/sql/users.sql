-- Users with keys from 1 on.
INSERT INTO auth_user (id, username, password, first_name, last_name, email, is_superuser, is_staff, is_active, date_joined)
SELECT number, number, '', '', '', '', false, false, true, now() FROM generate_series(1, {users}) AS number
