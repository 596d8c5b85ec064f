"""The URL of a badge's picture, for pages and live streams."""

from __future__ import annotations

from django.templatetags.static import static


def image_url(image: str) -> str:
    """What a browser loads: a URL or a path from the root stays as it is, anything else is a static file.

    A static file that was not collected stays too, as a page without one picture is better than none.
    """
    if not image or image.startswith(("/", "data:")) or "://" in image:
        return image
    try:
        return static(image)
    except ValueError:
        return image
