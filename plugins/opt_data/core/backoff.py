"""How long a task waits before it is tried again."""


def backoff_s(failed_tries: int, first_s: float, longest_s: float) -> float:
    """The wait after so many failed tries: doubled each time, never beyond the longest.

    Examples
    --------
    >>> [backoff_s(tries, 30.0, 240.0) for tries in (1, 2, 3, 4, 5)]
    [30.0, 60.0, 120.0, 240.0, 240.0]
    """
    wait_s = first_s
    for _ in range(failed_tries - 1):
        if wait_s >= longest_s:
            break
        wait_s *= 2
    return min(wait_s, longest_s)
