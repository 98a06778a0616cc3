"""Every error of the package. Two families answer the one question a scheduler asks: would trying again help?

Standard library only: Airflow imports this module while it parses DAG files.
"""

from datetime import date, datetime


class OptDataError(Exception):
    """Root of all errors raised on purpose by this package."""


class TransientError(OptDataError):
    """Trying again later may help: Airflow retries."""


class PermanentError(OptDataError):
    """Trying again changes nothing: a person must act, Airflow fails at once."""


# ---- whose move: wait and retry -------------------------------------------------------------------------------


class GatewayUnavailable(TransientError):
    """The gateway refused, dropped or ignored the connection."""

    def __init__(self, message: str, *, host: str = "", port: int = 0) -> None:
        super().__init__(message)
        self.host = host
        self.port = port


class ClientIdInUse(GatewayUnavailable):
    """Every client id of the configured range is taken (IB error 326)."""

    def __init__(self, message: str, *, client_ids: tuple[int, ...] = (), host: str = "", port: int = 0) -> None:
        super().__init__(message, host=host, port=port)
        self.client_ids = client_ids


class RequestTimedOut(TransientError):
    """The gateway did not answer one request before its deadline."""


class PacingViolated(TransientError):
    """IB rejected requests because they came too fast."""

    def __init__(self, message: str, *, retry_after_s: float = 30.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CompetingSession(TransientError):
    """Another login of the same user took the market data (IB error 10197)."""


class NothingCaptured(TransientError):
    """Not one contract of a symbol gave a quote."""

    def __init__(self, message: str, *, symbol: str = "", reasons: dict[str, int] | None = None) -> None:
        super().__init__(message)
        self.symbol = symbol
        self.reasons = reasons or {}


class CaptureUnfinished(TransientError):
    """A capture's time ran out before its slot did; it goes on with what is left."""


class SymbolsUnfinished(TransientError):
    """Some symbols of a task failed, one at least so that trying again may help; the others are stored."""

    def __init__(self, message: str, *, symbols: tuple[str, ...] = (), errors: tuple[Exception, ...] = ()) -> None:
        super().__init__(message)
        self.symbols = symbols
        self.errors = errors


class StorageUnavailable(TransientError):
    """The store could not be written: full disk, read-only mount, missing rights."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class AllowanceUnavailable(TransientError):
    """What tasks have used of the gateway's allowance cannot be read or written, so that none knows of the others."""


class CommitConflict(TransientError):
    """Another writer changed the object between our read and our write."""


class AlreadyRunning(TransientError):
    """Another process is doing the same work at this moment; there is nothing to do but to wait for it."""


# ---- whose move: a person's -----------------------------------------------------------------------------------


class ConfigInvalid(PermanentError):
    """The configuration or a universe file is wrong; the message names file, key and remedy."""


class CalendarUnavailable(PermanentError):
    """The exchange calendar has no answer for a date; guessing a session is not allowed."""


class NotASession(PermanentError):
    """A date on which XNYS does not trade was used as a trading day."""

    def __init__(self, message: str, *, day: date | None = None) -> None:
        super().__init__(message)
        self.day = day


class NotASlot(PermanentError):
    """An instant that is not on the session's slot grid was used as a slot."""

    def __init__(self, message: str, *, instant: datetime | None = None) -> None:
        super().__init__(message)
        self.instant = instant


class SlotNotBegun(TransientError):
    """The slot lies in the future."""


class OpenInterestNotOut(TransientError):
    """The session's open interest has not been published yet."""


class OpenInterestGone(PermanentError):
    """A newer session's open interest is out: IB keeps no history of it."""


class OpenInterestMissing(PermanentError):
    """Open interest that had not rolled, was unstable or lacked too many contracts until its deadline."""

    def __init__(self, message: str, *, symbols: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.symbols = symbols


class SlotExpired(PermanentError):
    """The slot is over: no live quote may be stored under it, and its bars have not given one quote either."""


class CloseExpired(PermanentError):
    """IB no longer serves the closing values of the session: a snapshot taken now would be of another one."""


class CloseMissing(PermanentError):
    """A symbol has no closing quote, and the settings do not allow a slot to stand in."""

    def __init__(self, message: str, *, symbol: str = "") -> None:
        super().__init__(message)
        self.symbol = symbol


class SlotsRetired(PermanentError):
    """Slots that a stored day was made of are gone; rolling up again would make the day worse."""

    def __init__(self, message: str, *, symbol: str = "") -> None:
        super().__init__(message)
        self.symbol = symbol


class NothingToRollUp(PermanentError):
    """A symbol has not one good quote on the day."""

    def __init__(self, message: str, *, symbol: str = "") -> None:
        super().__init__(message)
        self.symbol = symbol


class DayIncomplete(PermanentError):
    """A symbol of a session has no day, or lacks a closing snapshot that can still be taken."""


class SlotIncomplete(PermanentError):
    """A symbol of a slot has not one quote; its captures, not the report, must be run again."""


class SymbolsFailed(PermanentError):
    """Some symbols of a task failed, each so that trying again changes nothing; the others are stored."""

    def __init__(self, message: str, *, symbols: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.symbols = symbols


class DayNotRolledUp(PermanentError):
    """A symbol-day has no rolled-up rows yet, so that nothing can be derived from them."""

    def __init__(self, message: str, *, symbol: str = "", day: date | None = None) -> None:
        super().__init__(message)
        self.symbol = symbol
        self.day = day


class AdjustmentIncomplete(PermanentError):
    """A symbol of a session could not be brought to today's terms; the others were."""


class ContractUnknown(PermanentError):
    """IB has no security definition for what was asked (error 200)."""


class AmbiguousContract(PermanentError):
    """More than one contract matches; the first one is never taken."""


class ContractSetMissing(PermanentError):
    """No usable contract set for the day, and rebuilding it is not allowed or failed."""


class RequestRejected(PermanentError):
    """IB rejected a request as malformed or not allowed (e.g. error 321)."""

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class NoBars(RequestRejected):
    """IB's history has no bars of a contract for the time asked (error 162, "returned no data")."""


class NotEntitled(PermanentError):
    """The login has no permission for the data, and delayed data is not allowed."""


class SchemaMismatch(PermanentError):
    """Stored rows and the column table disagree."""


class FileUnreadable(PermanentError):
    """A stored file is truncated or corrupt; it was set aside, not deleted."""

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class RetentionRefused(PermanentError):
    """Retiring would take the last intraday data there are: more likely a wrong setting or date than a wish."""


class LedgerUnbalanced(PermanentError):
    """The counts of a slot do not add up to the contracts expected: they would be a lie, so they are not stored."""

    def __init__(self, message: str, *, symbol: str = "") -> None:
        super().__init__(message)
        self.symbol = symbol
