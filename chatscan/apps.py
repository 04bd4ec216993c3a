from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _

from chatscan.checks import check_chat_settings


class ChatscanConfig(AppConfig):
    name = "chatscan"
    verbose_name = _("Chat scanners")

    def ready(self) -> None:
        register(check_chat_settings)
