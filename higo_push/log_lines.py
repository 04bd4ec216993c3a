"""What a log shows of an event."""

import logging


class OneLine(logging.Filter):
    """A refusal is the visitor's affair and one line; a traceback is for what went wrong on our side.

    Django gives both an exception: `status_code` tells them apart.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if 400 <= getattr(record, "status_code", 500) < 500:
            record.exc_info = record.exc_text = None
        return True
