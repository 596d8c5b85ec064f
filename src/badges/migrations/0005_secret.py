"""A secret that only the owner of the badges knows: what the functions remember in a transaction is signed with it."""

from django.db import migrations

MAKE = """
CREATE TABLE badges_secret (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    secret text NOT NULL DEFAULT gen_random_uuid()::text || gen_random_uuid()::text
);
-- Default privileges may have given other roles the right to read it.
DO $$
DECLARE
    other text;
BEGIN
    FOR other IN
        SELECT DISTINCT coalesce(quote_ident(r.rolname), 'PUBLIC')
        FROM pg_class AS c
        CROSS JOIN aclexplode(c.relacl) AS a
        LEFT JOIN pg_roles AS r ON r.oid = a.grantee
        WHERE c.oid = 'badges_secret'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE 'REVOKE ALL ON badges_secret FROM ' || other;
    END LOOP;
END
$$;
INSERT INTO badges_secret DEFAULT VALUES;
"""


class Migration(migrations.Migration):
    dependencies = [("badges", "0004_time_zone")]
    operations = [migrations.RunSQL(MAKE, "DROP TABLE badges_secret")]
