"""The ASGI application. Invalid settings end the server with one line, not a traceback."""

import os
import sys

from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "higo_push.settings")
try:
    application = get_asgi_application()
except ImproperlyConfigured as error:
    sys.exit(f"higo_push: {error}")
