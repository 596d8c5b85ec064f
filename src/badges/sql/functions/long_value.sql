jsonb_build_object(
    'first', left({text}, 100),
    'length', length({text}),
    'sha256', encode(sha256(convert_to({text}, 'UTF8')), 'hex'))
