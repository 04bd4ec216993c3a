from django.apps import AppConfig
from django.core.checks import Tags, register
from django.db.models import BigIntegerField, CharField
from django.utils.translation import gettext_lazy as _

from pushes.checks import (
    check_directory,
    check_endpoints,
    check_lease,
    check_mariadb,
    check_redis,
    check_redis_replicas,
    check_redis_users,
)
from pushes.storage.among import Among
from pushes.workers import job_check


class PushesConfig(AppConfig):
    name = "pushes"
    verbose_name = _("Pushes")

    def ready(self) -> None:
        job_check.install()
        for keys in (BigIntegerField, CharField):  # a BigAutoField is one of the first
            keys.register_lookup(Among)
        register(check_directory)
        register(check_lease)
        register(check_endpoints, Tags.database)
        register(check_mariadb, Tags.database)
        register(check_redis, Tags.database)
        register(check_redis_replicas, Tags.database)
        register(check_redis_users, Tags.database)
