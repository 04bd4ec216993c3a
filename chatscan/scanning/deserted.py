"""Groups without any member when a message was last written in them: most likely a wrong setting."""

import logging
from collections.abc import Mapping

from chatscan.groups import Group
from chatscan.messages.config import ScanConfig
from chatscan.scanning import compose
from pushes.text.notes import Note
from pushes.text.sentences import Sentence

log = logging.getLogger(__name__)

SHOWN_GROUPS, MAX_DESERTED = 5, 1_000


class DesertedGroups:
    """The deserted groups that one scanner has met; the first is logged."""

    def __init__(self, config: ScanConfig) -> None:
        self._config = config
        self._ids: dict[str, None] = {}

    @property
    def advice(self) -> str:
        """Return advice for the operator; "" when every group had members."""
        if not self._ids:
            return ""
        names = ", ".join(list(self._ids)[:SHOWN_GROUPS])
        more = " …" if len(self._ids) > SHOWN_GROUPS else ""
        return Note(Sentence.DESERTED, groups=f"{names}{more}")

    def note(self, groups: Mapping[str, Group]) -> None:
        """Remember the deserted groups among `groups`, and forget the others."""
        for group_id, group in groups.items():
            if compose.audience_of(group, self._config):
                self._ids.pop(group_id, None)
            elif group_id not in self._ids:
                self._ids[group_id] = None
                if len(self._ids) == 1:
                    log.warning("%s: %s", self._config.kind, self.advice)
        while len(self._ids) > MAX_DESERTED:
            del self._ids[next(iter(self._ids))]
