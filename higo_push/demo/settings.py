"""The platform's settings with the demo's own command added. Only the demo's director uses these settings."""

from higo_push import settings as platform

globals().update({name: value for name, value in vars(platform).items() if name.isupper()})
INSTALLED_APPS = [*platform.INSTALLED_APPS, "higo_push.demo"]
