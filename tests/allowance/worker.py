"""A process of its own with a hand in a shared state: ``worker.py FILE|redis:PORT NAME KIND SECONDS``.

``send`` sends messages as fast as it is let and prints when each left; ``hold`` takes ten lines, prints how many it got
and stays.
"""

import sys
import time
from pathlib import Path

from opt_data.allowance.file_store import FileStore
from opt_data.allowance.redis_store import RedisAddress, RedisStore
from opt_data.core.allowance import AllowancePolicy, AllowanceStore, Resource
from opt_data.core.allowance_share import AllowanceShare

POLICY = AllowancePolicy(rate_per_s=47.5, limit_per_s=50, lines=30)


def store_at(place: str) -> AllowanceStore:
    kind, _, port = place.partition(":")
    if kind == "redis":
        return RedisStore(RedisAddress("127.0.0.1", int(port)), "gateway:4001")
    return FileStore(Path(place))


def main(path: str, name: str, kind: str, seconds: str) -> None:
    share = AllowanceShare(store_at(path), POLICY, name)
    if kind == "hold":
        print(sum(share.take(Resource.LINE) for _ in range(10)), flush=True)
        time.sleep(float(seconds))
        return
    share.sign_of_life()
    ends = time.monotonic() + float(seconds)
    while time.monotonic() < ends:
        time.sleep(share.send_or_wait_s(lambda: print(time.monotonic())))


if __name__ == "__main__":
    main(*sys.argv[1:])
