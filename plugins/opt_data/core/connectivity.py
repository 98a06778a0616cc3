"""What the gateway's own notices say about whether quotes can be trusted.

During an outage between the gateway and IB the socket stays up and tickers freeze while looking live, so the notices
are the only sign. They are folded into one state per connection.
"""

from dataclasses import dataclass, field

_LOST = frozenset({1100, 2110})
_RESTORED = frozenset({1101, 1102})
_FARM_BROKEN = 2103
_FARM_OK = 2104
_FARM_NAMED = frozenset({_FARM_BROKEN, _FARM_OK, 2107, 2108, 2119})

_OPTIONS = "usopt"
_UNDERLYINGS = "usfarm"


@dataclass(slots=True)
class Connectivity:
    """Which parts of the way to IB are known to be down.

    Only market-data farms count: those of history (2105/2106) and of definitions (2157/2158) feed no quotes. US options
    come over the farm ``usopt`` and stocks over ``usfarm``; a gateway that never named a farm ``usopt`` may serve
    options over any, so there every farm that is down stops them.
    """

    server_lost: bool = False
    farms_down: set[str] = field(default_factory=set)
    outages: int = 0
    impairments: int = 0
    """How often a time began in which some market-data farm was down, whether options come over it or not."""
    _names_option_farm: bool = False

    @property
    def is_down(self) -> bool:
        """Whether option quotes are frozen."""
        return self.server_lost or any(self._feeds_options(farm) for farm in self.farms_down)

    @property
    def is_impaired(self) -> bool:
        """Whether any market-data farm is down."""
        return self.server_lost or bool(self.farms_down)

    @property
    def is_underlying_down(self) -> bool:
        """Whether quotes of stocks and indices are frozen."""
        return self.server_lost or any(farm.startswith(_UNDERLYINGS) for farm in self.farms_down)

    def note(self, code: int, text: str) -> bool:
        """Fold in one notice.

        Returns
        -------
        bool
            True if the notice means that option values received so far may be stale: an outage began, or data was lost.
        """
        was_down, was_impaired = self.is_down, self.is_impaired
        if code in _FARM_NAMED and _farm(text).startswith(_OPTIONS):
            self._names_option_farm = True
        if code in _LOST:
            self.server_lost = True
        elif code in _RESTORED:
            self.server_lost = False
            self.farms_down.clear()
        elif code == _FARM_BROKEN:
            self.farms_down.add(_farm(text))
        elif code == _FARM_OK:
            self.farms_down.discard(_farm(text))
            self.server_lost = False
        began = self.is_down and not was_down
        self.outages += began
        self.impairments += self.is_impaired and not was_impaired
        return began or code == 1101

    def _feeds_options(self, farm: str) -> bool:
        return farm.startswith(_OPTIONS) or not (self._names_option_farm and farm.startswith(_UNDERLYINGS))


def _farm(text: str) -> str:
    """The farm's name: what stands behind the last colon, or at the end of the sentence about a sleeping farm.

    >>> _farm("Market data farm connection is broken:usopt")
    'usopt'
    >>> _farm("Market data farm connection is inactive but should be available upon demand.usfarm.nj")
    'usfarm.nj'
    """
    return text.rpartition(":")[2].rpartition("demand.")[2].strip()
