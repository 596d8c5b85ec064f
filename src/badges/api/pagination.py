"""Pagination for sites whose REST framework has none."""

from __future__ import annotations

from rest_framework.pagination import PageNumberPagination
from rest_framework.settings import api_settings


class BadgePagination(PageNumberPagination):
    """Pages by number: 50 badges, or as many as the site's PAGE_SIZE says."""

    page_size = api_settings.PAGE_SIZE or 50
