"""The API's addresses, gathered from the rooms."""

urlpatterns: list = []
