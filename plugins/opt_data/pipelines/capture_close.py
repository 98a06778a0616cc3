"""Take the closing snapshot of one symbol: a capture of the values that IB froze at the bell."""

from datetime import datetime

from opt_data.core.contracts import ContractSet
from opt_data.core.sessions import NEW_YORK
from opt_data.core.slots import Slot
from opt_data.errors import CloseExpired
from opt_data.gateway.session import GatewaySession
from opt_data.pipelines.capture_slot import CaptureJob, CaptureOutcome, capture_slot, wait_for_slot
from opt_data.pipelines.stores import Stores


async def capture_close(
    job: CaptureJob, contract_set: ContractSet, *, session: GatewaySession, stores: Stores
) -> CaptureOutcome:
    """Ask for what the closing snapshot still lacks of one symbol, and commit it to ``view=close``.

    Only values that the gateway calls frozen are stored; while the symbol is still quoted after the bell (some trade
    until 16:15) its contracts stay without a quote, and a rerun asks again.

    Raises
    ------
    CloseExpired
        IB serves these closing values no longer; nothing was asked.
    OptDataError
        Everything that ``capture_slot`` raises.
    """
    await wait_for_close(job.slot, session)
    return await capture_slot(job, contract_set, session=session, stores=stores)


async def wait_for_close(close: Slot, session: GatewaySession) -> None:
    """Return when the bell has rung; a run may be some seconds early.

    Raises
    ------
    SlotNotBegun
        The bell is farther away than that.
    CloseExpired
        The next session is about to open.
    """
    check_close_is_served(close, session.clock.now())
    await wait_for_slot(close, session)


def check_close_is_served(close: Slot, now: datetime) -> None:
    """Refuse a session whose closing values IB serves no longer.

    Raises
    ------
    CloseExpired
        With what stands in.
    """
    if now >= close.ends_utc:
        ended = close.ends_utc.astimezone(NEW_YORK)
        raise CloseExpired(
            f"the closing values of {close.session.day} could be taken until {ended:%Y-%m-%d %H:%M} New York and it is "
            f"{now.astimezone(NEW_YORK):%Y-%m-%d %H:%M}: what IB serves now is another session's. Nothing was asked; "
            "the rollup takes the slots instead, where [rollup] allow_intraday_fallback allows it"
        )
