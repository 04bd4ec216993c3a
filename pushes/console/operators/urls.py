"""The addresses under `/admin/me/`: open to every member of staff, for their own account only."""

from django.contrib import admin
from django.urls import path

from pushes.console.operators import own_account

app_name = "console"
urlpatterns = [
    path("", admin.site.admin_view(own_account.account), name="account"),
    path("second-factor/", admin.site.admin_view(own_account.only_where_used(own_account.verify)), name="verify"),
    path(
        "second-factor/set-up/", admin.site.admin_view(own_account.only_where_used(own_account.set_up)), name="set_up"
    ),
    path("second-factor/codes/", admin.site.admin_view(own_account.only_where_used(own_account.codes)), name="codes"),
    path(
        "second-factor/off/", admin.site.admin_view(own_account.only_where_used(own_account.turn_off)), name="turn_off"
    ),
]
