"""A whole day of slots against one gateway process leaves nothing behind: no line, client id, file, or memory."""

import asyncio
import gc
import os

import psutil

from opt_data.core.slots import slot_grid

SYMBOLS = ("AAPL", "NVDA")
MEMORY_GROWTH_MAX_MB = 20.0
"""From the third slot to the last, of this process and of the gateway's, each."""


async def test_fourteen_slots_leave_nothing_behind(desk):
    desk = desk({"feed": {"journal_requests": 0}})
    ours, theirs = psutil.Process(os.getpid()), psutil.Process(desk.gateway.pid)
    for symbol in SYMBOLS:
        await desk.discover(symbol)
    slots = slot_grid(desk.stores.calendar.session(desk.day))
    kept, begun = 0, {}

    for slot in slots:
        desk.gateway.control.set_clock(slot.instant_utc)
        for symbol in SYMBOLS:
            outcome = await desk.capture(symbol, slot=slot)
            kept += outcome.account.kept
        while desk.gateway.control.stats()["clients"]:
            await asyncio.sleep(0.01)  # the last one's goodbye is on its way
        gc.collect()
        if slot.index == 2:
            begun = {one.pid: (one.memory_info().rss, one.num_fds()) for one in (ours, theirs)}

    assert kept == 14 * 24 * len(SYMBOLS)
    stats = desk.gateway.control.stats()
    assert (stats["lines_open"], stats["clients"], stats["strikes"]) == (0, [], 0)
    assert stats["connections"] == 15 * len(SYMBOLS)
    for process in (ours, theirs):
        rss, files = begun[process.pid]
        assert (process.memory_info().rss - rss) / 1e6 < MEMORY_GROWTH_MAX_MB
        assert process.num_fds() <= files
    (state,) = desk.settings.paths.allowance.iterdir()
    assert state.stat().st_size <= 64 * 1024
    assert b'"' not in state.read_bytes().partition(b"\0")[0]  # nobody's name: all have left
