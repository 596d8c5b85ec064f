SELECT coalesce({condition}, false),
       {evidence}
INTO earned, evidence
FROM {rows};
