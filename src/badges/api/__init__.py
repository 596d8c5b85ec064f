"""A REST API for the badges of a site, with Django REST framework; needs `django-pg-badges[api]`."""
