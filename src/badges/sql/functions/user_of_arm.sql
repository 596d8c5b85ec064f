IF badges_user_of.starting_table OPERATOR(pg_catalog.=) {table}
   AND badges_user_of.path OPERATOR(pg_catalog.=) {name}
THEN
    RETURN {user};
END IF;
