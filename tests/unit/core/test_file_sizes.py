"""Cutting a stream into files: each within the limits, whatever the amount."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opt_data.core.file_sizes import SizeLimits, should_cut

LIMITS = SizeLimits(128_000_000, 268_435_456)
GROUP = 250_000


def cut(total: int) -> list[int]:
    """The files that a stream of ``total`` bytes in row groups becomes."""
    files, size, written = [], 0, 0
    while written < total:
        group = min(GROUP, total - written)
        size, written = size + group, written + group
        if should_cut(size, written, written / total, LIMITS):
            files.append(size)
            size = 0
    return [*files, size] if size else files


@given(st.integers(1, 3_000_000_000))
def test_every_file_is_within_the_limits_unless_all_is_less(total: int) -> None:
    files = cut(total)
    assert sum(files) == total
    if total < LIMITS.least:
        assert files == [total]
    else:
        assert all(LIMITS.least <= size <= LIMITS.greatest for size in files)


def test_limits_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        SizeLimits(128, 200)
