"""How large compacted files become."""

import math
from dataclasses import dataclass

SLACK = 0.01
"""Room below the largest size, because the size of what is still to come is an estimate."""


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """Least and greatest size of a file in bytes; the greatest is at least twice the least.

    Only then can every amount be cut into files within the limits, except one that is less than the least.
    """

    least: int
    greatest: int

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.greatest / 2:
            raise ValueError(f"greatest size {self.greatest} is not at least twice the least, {self.least}")


def should_cut(size: int, written: int, share_done: float, limits: SizeLimits) -> bool:
    """Whether a file of ``size`` bytes ends here.

    All that is left, this file included, is divided evenly into as few files as the greatest size allows.

    Parameters
    ----------
    size
        Bytes of the file so far.
    written
        Bytes of all files so far, this one included.
    share_done
        How much of the input they hold, 0 to 1: the rest is taken to compress as well.
    limits
        Least and greatest size.
    """
    if size < limits.least or share_done <= 0:
        return False
    to_come = written / share_done - written
    files = math.ceil((size + to_come) / (limits.greatest * (1 - SLACK)))
    return files > 1 and size >= (size + to_come) / files
