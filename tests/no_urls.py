"""A site that does not include the pages."""

urlpatterns = []
