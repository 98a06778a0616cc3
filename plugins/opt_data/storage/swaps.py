"""Replacing many files of a week at once, so that no kill leaves it half done and our reader never sees it half done.

The new files are staged out of sight. Then a journal with all moves is written; from that moment the swap happened, and
what is left of it is finished by whoever comes next. Readers of ours read as if all moves of a journal were done.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

from opt_data.errors import CommitConflict, OptDataError
from opt_data.storage.layout import ChainWeek
from opt_data.storage.port import MUST_NOT_EXIST, ObjectMark, ObjectStore

log = logging.getLogger(__name__)

T = TypeVar("T")
Moves = Sequence[tuple[str, str]]

READ_TRIES = 100
"""Each try means that another swap of the same week ended meanwhile."""


@dataclass(frozen=True, slots=True)
class Located:
    """An object as a reader should see it: ``key`` is its place, ``stored_at`` where its bytes are at the moment."""

    key: str
    stored_at: str


class WeekSwaps:
    """Swaps of one week's files, and how to read and write beside them.

    Parameters
    ----------
    port
        Where objects are kept.
    week
        The week; each has one lock and one journal.
    """

    def __init__(self, port: ObjectStore, week: ChainWeek) -> None:
        self._port = port
        self._week = week

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While in the context no swap of the week happens, and none is unfinished. Writers do not exclude each other.

        Taking files' absence for granted, or replacing one, is safe only in here.
        """
        while True:
            with self._port.lock(self._week.name, shared=True):
                if self.pending() is None:
                    yield
                    return
            with self.swapping():
                log.info("%s: finished a swap that was cut off", self._week.name)

    @contextmanager
    def swapping(self) -> Iterator[None]:
        """While in the context nobody else writes the week; a swap that was cut off is finished first."""
        with self._port.lock(self._week.name):
            self._finish()
            yield

    def swap(self, moves: Moves) -> None:
        """Carry out moves; only within ``swapping``. Once the journal is written they are done, whatever happens."""
        journal = json.dumps({"swap": uuid4().hex, "moves": list(moves)}).encode()
        self._port.put(self._week.swap_key, journal, expected=MUST_NOT_EXIST)
        self._finish()

    def clear(self, folder: str) -> None:
        """Remove staged or retired files, unless a swap that was cut off still needs them."""
        if self.pending() is None:
            self._port.delete_all(folder)

    def pending(self) -> Moves | None:
        """The moves of a swap that began and is not known to be finished."""
        stored = self._port.read(self._week.swap_key)
        if stored is None:
            return None
        return [(source, target) for source, target in json.loads(stored.data)["moves"]]

    def consistent(self, load: Callable[[Callable[[str], list[Located]]], T]) -> T:
        """What ``load`` returns, from a state before or after any swap, never from between.

        ``load`` gets a function that lists objects by prefix, and must read what it needs before it returns.

        Raises
        ------
        CommitConflict
            Swap after swap got in between.
        """
        for _ in range(READ_TRIES):
            before = self._generation()
            try:
                result = load(self._lister())
            except OptDataError:
                if self._generation() == before:
                    raise
                continue
            if self._generation() == before:
                return result
        raise CommitConflict(f"the files of {self._week.name} were replaced {READ_TRIES} times while they were read")

    def _lister(self) -> Callable[[str], list[Located]]:
        moves = self.pending() or ()

        def located(prefix: str) -> list[Located]:
            found = {_moved(key, moves): key for key in self._port.list(prefix)}
            for source, target in moves:
                if target.startswith(prefix) or prefix.startswith(target):
                    found.update({_moved(key, moves): key for key in self._port.list(source)})
            return [Located(key, found[key]) for key in sorted(found) if key.startswith(prefix)]

        return located

    def _generation(self) -> tuple[ObjectMark, ...]:
        return tuple(self._port.marks(self._week.swap_prefix))

    def _finish(self) -> None:
        moves = self.pending()
        if moves is not None:
            self._port.move(moves)
            self._port.move([(self._week.swap_key, self._week.swap_done_key)])


def _moved(key: str, moves: Moves) -> str:
    """Where an object is once all moves are done."""
    for source, target in moves:
        if key == source or (source.endswith("/") and key.startswith(source)):
            return target + key.removeprefix(source)
    return key
