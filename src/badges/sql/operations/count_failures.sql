-- How many failures these records count.
SELECT coalesce(sum(f.occurrences), 0)::bigint FROM {failures} AS f WHERE f.tenant = {tenant} AND {condition}
