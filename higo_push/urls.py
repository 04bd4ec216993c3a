from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from pushes.api.urls import probes

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("pushes.api.urls")),
    *probes,
]
