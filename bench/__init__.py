"""Benchmarks. `python -m bench` lists them; docs/performance.md says how they measure."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "higo_push.settings")
