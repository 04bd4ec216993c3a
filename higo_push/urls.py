from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from pushes.api.urls import everything_else, probes
from pushes.console.login.own_password import PasswordChange
from pushes.console.operators.preferences import set_language

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("i18n/setlang/", set_language, name="set_language"),
    path("admin/me/", include("pushes.console.operators.urls")),
    path("admin/password_change/", admin.site.admin_view(PasswordChange.as_view()), name="own_password"),
    path("admin/", admin.site.urls),
    path("api/v1/", include("pushes.api.urls")),
    *probes,
    everything_else,
]
handler400 = "pushes.api.urls.refused_request"
handler500 = "higo_push.web.refusals.server_error"
