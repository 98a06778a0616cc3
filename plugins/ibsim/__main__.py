"""Run the simulated gateway by itself: ``python -m ibsim --help``."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path

from ibsim.clock import MarketClock, parse_instant
from ibsim.scenario import Scenario, ScenarioError, read_scenario
from ibsim.server import GatewayServer, serve


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ibsim",
        description="A simulated IB Gateway: TWS protocol at server version 176, a seeded market, "
        "IB's allowance, faults on command. Prints one JSON line with pid and ports when it is ready.",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address of the API port (default: %(default)s); control stays on loopback"
    )
    parser.add_argument("--port", type=int, default=4002, help="API port; 0 chooses a free one (default: %(default)s)")
    parser.add_argument("--control-port", type=int, default=0, help="control port; 0 chooses a free one (default)")
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="scenario, TOML (or JSON)")
    parser.add_argument(
        "--clock", default="system", metavar="INSTANT",
        help="what time it is in the market at the start, e.g. 2025-11-24T09:25:00-05:00, or 'system' (default)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, help="another seed than the scenario's")
    parser.add_argument("--ready-file", type=Path, metavar="PATH", help="write pid and ports there too, once ready")
    parser.add_argument("--stop-on-stdin-eof", action="store_true", help="end when standard input is closed")
    parser.add_argument("--verbose", action="store_true", help="log to standard error")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = make_parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(asctime)s %(name)s %(message)s"
    )
    try:
        scenario = read_scenario(options.scenario) if options.scenario else Scenario()
        clock = MarketClock(None if options.clock == "system" else parse_instant(options.clock))
    except (ScenarioError, ValueError, OSError) as error:
        print(f"ibsim: {error}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        asyncio.run(_run(options, scenario, clock))
    except (OSError, ValueError) as error:
        print(f"ibsim: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _run(options: argparse.Namespace, scenario: Scenario, clock: MarketClock) -> None:
    ports = {"port": options.port, "control_port": options.control_port}
    async with serve(scenario, clock=clock, host=options.host, **ports) as server:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop_requested.set)
        if options.stop_on_stdin_eof:
            loop.add_reader(sys.stdin.fileno(), _stop_at_end_of_input, server)
        ready = json.dumps({"pid": os.getpid(), "port": server.port, "control_port": server.control_port})
        if options.ready_file:
            half = options.ready_file.with_suffix(".part")
            half.write_text(ready + "\n", encoding="utf-8")
            half.replace(options.ready_file)
        print(ready, flush=True)  # noqa: T201
        await server.stop_requested.wait()


def _stop_at_end_of_input(server: GatewayServer) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        server.stop_requested.set()


if __name__ == "__main__":
    sys.exit(main())
