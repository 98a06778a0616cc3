"""A process of its own with a hand in a shared file: ``worker.py FILE NAME KIND SECONDS``.

``send`` sends messages as fast as it is let and prints when each left; ``hold`` takes ten lines, prints how many it got
and stays.
"""

import sys
import time
from pathlib import Path

from opt_data.allowance.file_store import FileStore
from opt_data.core.allowance import AllowancePolicy, Resource
from opt_data.core.allowance_share import AllowanceShare

POLICY = AllowancePolicy(rate_per_s=47.5, limit_per_s=50, lines=30)


def main(path: str, name: str, kind: str, seconds: str) -> None:
    share = AllowanceShare(FileStore(Path(path)), POLICY, name)
    if kind == "hold":
        print(sum(share.take(Resource.LINE) for _ in range(10)), flush=True)
        time.sleep(float(seconds))
        return
    ends = time.monotonic() + float(seconds)
    while time.monotonic() < ends:
        if (wait := share.message_wait_s()) == 0:
            print(time.monotonic())
        time.sleep(wait)


if __name__ == "__main__":
    main(*sys.argv[1:])
