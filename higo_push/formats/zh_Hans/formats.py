"""What Django looks for under the language's name."""

from higo_push.formats.shared import *  # noqa: F403
