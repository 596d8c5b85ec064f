-- Rows whose user is not known here: a row on the way to the user is not there yet, or the snapshot may be too old for
-- it. The pending check finds the user when it is settled.
SELECT pg_catalog.array_agg(NULL::{key}), pg_catalog.array_agg(found.thing), pg_catalog.array_agg(found.code),
       pg_catalog.array_agg(found.evidence), pg_catalog.array_agg('check'::text)
INTO own.users, own.things, own.codes, own.evidences, own.verdicts
FROM (
    {found}
) AS found;
IF own.codes IS NOT NULL
   AND {is_own_table}
THEN
    PERFORM {record}(own.users, own.things, own.codes, own.evidences, own.verdicts);
END IF;
