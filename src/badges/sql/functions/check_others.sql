IF among_others AND NOT earned THEN
    SELECT true,
           {evidence}
    INTO earned, evidence
    FROM (SELECT {columns}
          FROM {table} AS {row}
          WHERE {where}) AS {row}
    WHERE {condition}
    LIMIT 1;
    earned := coalesce(earned, false);
END IF;
