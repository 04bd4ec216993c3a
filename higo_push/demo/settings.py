"""The platform's settings, with the demo's own command added; only the demo's director runs on these."""

from higo_push import settings as platform

globals().update({name: value for name, value in vars(platform).items() if name.isupper()})
INSTALLED_APPS = [*platform.INSTALLED_APPS, "higo_push.demo"]
