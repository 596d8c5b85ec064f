-- The keys of about this share of the users, chosen by chance.
SELECT {user_key}::text FROM {users} TABLESAMPLE bernoulli ({percent})
