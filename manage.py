#!/usr/bin/env python
"""Run a management command; `./manage.py help` lists them."""

import os
import sys

from higo_push import command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "higo_push.settings")
    command_line.run(sys.argv)
