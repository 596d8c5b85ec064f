({select}
 FROM {table} AS badges_row
 WHERE {where}
) AS {row}
