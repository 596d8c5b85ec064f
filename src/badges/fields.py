"""The one field of our own: a foreign key whose raw value is called `code`."""

from __future__ import annotations

from typing import Any

from django.db import models


class DefinitionField(models.ForeignKey[Any, Any]):
    """A foreign key to `BadgeDefinition`, held in the column `code` and readable as `badge.code`.

    Django would call the raw value `definition_id`. What users of 0.1 filter by, and what SQL sees, is `code`.
    """

    def get_attname(self) -> str:
        return "code"
