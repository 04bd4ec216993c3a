"""Under `/admin/me/`: open to every member of staff, for their own account only."""

from django.contrib import admin
from django.urls import path

from pushes.admin import me

app_name = "console"
urlpatterns = [
    path("", admin.site.admin_view(me.account), name="account"),
    path("second-factor/", admin.site.admin_view(me.only_where_used(me.verify)), name="verify"),
    path("second-factor/set-up/", admin.site.admin_view(me.only_where_used(me.set_up)), name="set_up"),
    path("second-factor/codes/", admin.site.admin_view(me.only_where_used(me.codes)), name="codes"),
    path("second-factor/off/", admin.site.admin_view(me.only_where_used(me.turn_off)), name="turn_off"),
]
