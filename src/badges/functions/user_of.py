"""Generates badges_user_of(): follows the paths of badges to their users, for pending checks that lack one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from badges.database import template, trusted
from badges.facts.types import AnalysedDefinition, Target
from badges.functions import expressions, runtime
from badges.functions.types import Routine, checks


def routine(target: Target, analysed: Sequence[AnalysedDefinition]) -> Routine:
    """The function that returns the user at the end of a path."""
    paths = {
        (check.table.qualified_name, check.table.path.name): (check.table.path, check.user)
        for each in analysed
        for check in checks(each)
        if check.table.path
    }
    return runtime.generated_routine(
        target,
        "badges_user_of",
        "functions/user_of.sql",
        "functions/user_of_body.sql",
        settings=sql.SQL(""),
        arms=sql.SQL("\n").join(
            template("functions/user_of_arm.sql").format(
                table=sql.Literal(table),
                name=sql.Literal(name),
                user=expressions.as_key(
                    target,
                    user,
                    expressions.user_by(
                        path,
                        sql.SQL("{}::{}").format(trusted("badges_user_of.start"), expressions.type_of(path.first)),
                    ),
                ),
            )
            for (table, name), (path, user) in sorted(paths.items())
        ),
    )
