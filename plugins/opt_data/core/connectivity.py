"""What the gateway's own notices say about whether quotes can be trusted.

During an outage between the gateway and IB the socket stays up and tickers freeze while looking live, so the notices
are the only sign. They are folded into one state per connection.
"""

from dataclasses import dataclass, field

_LOST = frozenset({1100, 2110})
_RESTORED = frozenset({1101, 1102})
_FARM_BROKEN = frozenset({2103, 2157})
_FARM_OK = frozenset({2104, 2158})


@dataclass(slots=True)
class Connectivity:
    """Which parts of the way to IB are known to be down.

    History farms (2105/2106) are not counted: they do not feed live quotes.
    """

    server_lost: bool = False
    farms_down: set[str] = field(default_factory=set)
    outages: int = 0

    @property
    def is_down(self) -> bool:
        return self.server_lost or bool(self.farms_down)

    def note(self, code: int, text: str) -> bool:
        """Fold in one notice.

        Returns
        -------
        bool
            True if the notice means that values received so far may be stale: an outage began, or data was lost.
        """
        was_down = self.is_down
        if code in _LOST:
            self.server_lost = True
        elif code in _RESTORED:
            self.server_lost = False
            self.farms_down.clear()
        elif code in _FARM_BROKEN:
            self.farms_down.add(_farm(text))
        elif code in _FARM_OK:
            self.farms_down.discard(_farm(text))
            if code == 2104:
                self.server_lost = False
        began = self.is_down and not was_down
        if began:
            self.outages += 1
        return began or code == 1101


def _farm(text: str) -> str:
    """The farm's name: what stands behind the last colon.

    >>> _farm("Market data farm connection is broken:usopt")
    'usopt'
    """
    return text.rsplit(":", 1)[-1].strip()
