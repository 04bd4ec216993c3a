"""How log records are formatted."""

import logging


class OneLine(logging.Filter):
    """Log a refusal (4xx) in one line; a traceback is only for our own errors.

    Django attaches an exception to both: `status_code` distinguishes them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if 400 <= getattr(record, "status_code", 500) < 500:
            record.exc_info = record.exc_text = None
        return True
