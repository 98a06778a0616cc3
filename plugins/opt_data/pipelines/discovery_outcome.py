"""What a discovery did, as a value for logs, XComs and the stages that follow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from opt_data.core.contracts import ContractSet
from opt_data.core.discovery_plan import VerifyReason


class DiscoveryAction(StrEnum):
    """What was done."""

    BUILT = "built"
    UNCHANGED = "unchanged"
    REFRESHED = "refreshed"
    CARRIED_OVER = "carried_over"
    REBUILT_FROM_ROWS = "rebuilt_from_rows"


@dataclass(frozen=True, slots=True)
class DiscoveryOutcome:
    """The day's set and how it came about.

    ``problem`` is a sentence when something was wrong although there is a set: the gateway's failure behind a carried
    over one, the state of the cache that had to be rebuilt. ``failed`` counts series without an answer by error.
    """

    action: DiscoveryAction
    contract_set: ContractSet
    asked: int = 0
    carried: int = 0
    unverified: int = 0
    unknown: int = 0
    added: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    verify_reason: VerifyReason | None = None
    problem: str = ""

    def summary(self) -> dict[str, object]:
        """Plain values for a log line or an XCom: no contracts, only their number."""
        contract_set = self.contract_set
        return {
            "symbol": contract_set.underlying.symbol,
            "trade_date": contract_set.trade_date.isoformat(),
            "action": self.action.value,
            "contracts": len(contract_set.contracts),
            "stale": contract_set.stale,
            "source": contract_set.source,
            "reference_price": contract_set.reference_price or None,
            "reference_source": contract_set.reference_source,
            "verified_on": contract_set.verified_on.isoformat(),
            "verify_reason": self.verify_reason.value if self.verify_reason else None,
            "asked": self.asked,
            "carried": self.carried,
            "unverified": self.unverified,
            "unknown": self.unknown,
            "added": self.added,
            "failed": dict(self.failed),
            "problem": self.problem or None,
        }
