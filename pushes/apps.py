from django.apps import AppConfig
from django.core.checks import register
from django.db.models import BigIntegerField
from django.utils.translation import gettext_lazy as _

from pushes.checks import check_directory
from pushes.lookups import Among


class PushesConfig(AppConfig):
    name = "pushes"
    verbose_name = _("Pushes")

    def ready(self) -> None:
        BigIntegerField.register_lookup(Among)  # of which BigAutoField is one
        register(check_directory)
