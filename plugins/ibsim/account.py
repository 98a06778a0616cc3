"""Answers about the account: an empty one, enough for clients that ask for everything when they connect."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from ibsim.gateway import Gateway
from ibsim.messages import replies, requests
from ibsim.messages.requests import Request
from ibsim.subscriptions import Encodable

FIRST_ORDER_ID = 1
_VALUES = (
    ("AccountType", "INDIVIDUAL", ""),
    ("NetLiquidation", "1000000.00", "USD"),
    ("TotalCashValue", "1000000.00", "USD"),
    ("BuyingPower", "4000000.00", "USD"),
    ("GrossPositionValue", "0.00", "USD"),
)


def account_replies(gateway: Gateway, request: Request) -> Sequence[Encodable]:
    """Everything that answers a request about time, ids, account, orders or positions; nothing for a cancel."""
    account = gateway.scenario.account
    match request:
        case requests.CurrentTime():
            return (replies.CurrentTimeReply(int(gateway.clock.now_s() + gateway.scenario.faults.clock_ahead_s)),)
        case requests.ManagedAccounts():
            return (replies.ManagedAccountsReply(account),)
        case requests.NextIds():
            return (replies.NextValidId(FIRST_ORDER_ID),)
        case requests.Positions():
            return (replies.End("positions"),)
        case requests.OpenOrders():
            return (replies.End("open_orders"),)
        case requests.CompletedOrders():
            return (replies.End("completed_orders"),)
        case requests.Executions(req_id=req_id):
            return (replies.End("executions", req_id),)
        case requests.AccountUpdates(subscribe=True):
            now = datetime.fromtimestamp(gateway.clock.now_s(), ZoneInfo(gateway.scenario.time_zone))
            values = (replies.AccountValue(key, value, currency, account) for key, value, currency in _VALUES)
            return (*values, replies.AccountTime(f"{now:%H:%M}"), replies.End("account_updates", None, account))
        case requests.AccountUpdatesMulti(req_id=req_id):
            multi = (replies.AccountValueMulti(req_id, account, *row) for row in _VALUES)
            return (*multi, replies.End("account_updates_multi", req_id))
        case requests.AccountSummary(req_id=req_id):
            rows = (replies.AccountSummaryRow(req_id, account, *row) for row in _VALUES)
            return (*rows, replies.End("account_summary", req_id))
        case _:
            return ()
