BEGIN
    {evaluation}
EXCEPTION WHEN OTHERS OR assert_failure THEN
    PERFORM {same_types}(
        {table}, {names}::text[],
        {types}::regtype[]);
    RAISE;
END;
