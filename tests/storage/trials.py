"""What happened to a writer and to what is stored: one disturbed run, judged right after it and after the next run."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.storage.stored_facts import Facts, Place, is_of_week
from tests.storage.writers import OLD_WEEK, Writer, retire_to_cold_path

BEFORE, HALF, AFTER = "before", "half", "after"


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a writer: a kill at its n-th call or after some seconds, or an error at all calls from the n-th
    that change something."""

    kind: str
    call: int = 0
    moment: str = BEFORE
    after_s: float | None = None


@dataclass(slots=True)
class Trial:
    """One writer, disturbed; the lists name places and files and are empty if all is well."""

    number: int
    writer: str
    fault: Fault
    is_beside: bool
    ended: str = ""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    not_as_undisturbed: list[str] = field(default_factory=list)
    doubled_for_plain_readers: int = 0

    @property
    def is_kill(self) -> bool:
        return self.ended == "killed"


def compare_disturbed(
    trial: Trial, now: Facts, writer: Writer, states: tuple[Facts, Facts], raw: set[Place], cold: set[Place]
) -> None:
    """Every row that was there is there once, as it was or as it will be; no file is damaged that was not.

    ``states`` are without and with the writer's work, both with that of the one beside it if there was one. Raw is
    judged by the rows that were there before, ``raw``: a new attempt has a name of its own. ``cold`` is what lies on
    the cold path.
    """
    begun, done = states
    trial.unreadable += [file for file in now.unreadable if not file.startswith(writer.damaged or "\0")]
    trial.unreadable += [path for path in now.refused if path != writer.damaged]
    trial.doubled += [str(place) for place in now.doubled()]
    old = {day.isoformat() for day in OLD_WEEK.days} if writer.takes else set()
    expected = raw | {place for place in begun.rows if place[0] != "raw"}
    missing = {place for place in expected if place not in now.rows}
    gone = {place for place in missing if is_of_week(place, old)}
    whole = {place for place in expected if is_of_week(place, old)}
    trial.lost += [str(place) for place in missing - gone]
    if gone and not _is_taken_whole(gone, whole):
        trial.lost += [f"half of a week: {place}" for place in sorted(gone)[:3]]
    if gone and writer.run is retire_to_cold_path:
        trial.lost += [f"not on the cold path: {place}" for place in sorted(whole - cold)[:3]]
    for place, rows in now.rows.items():
        allowed = [*begun.rows.get(place, ()), *done.rows.get(place, ())]
        if place[0] != "raw" and any(row not in allowed for row in rows):
            trial.wrong.append(str(place))
    if not writer.damaged:
        trial.lost += [f"for a plain reader: {place}" for place in expected - gone if _is_lost_to_plain(place, now)]
    doubles = sum(count > 1 for count in now.plain.values())
    trial.doubled_for_plain_readers = doubles
    if doubles and not now.is_swapping:
        trial.doubled += [f"for a plain reader: {place}" for place, count in now.plain.items() if count > 1]


def _is_taken_whole(gone: set[Place], whole: set[Place]) -> bool:
    """Intraday rows go in one swap for our reader; raw has no reader that looks through a swap."""
    clean = {place for place in whole if place[0] != "raw"}
    return clean <= gone


def _is_lost_to_plain(place: Place, now: Facts) -> bool:
    return place[0] not in ("raw", "ledger") and not now.is_swapping and place not in now.plain


def compare_finished(trial: Trial, now: Facts, wanted: Facts) -> None:
    """After the next run: the same rows as if nothing had happened, for every reader, and nothing lies about."""

    def kept(facts: Facts) -> dict[Any, list[tuple[str, ...]]]:
        return {place: sorted(rows) for place, rows in facts.rows.items() if place[0] != "raw"}

    found, expected = kept(now), kept(wanted)
    for place in found.keys() | expected.keys():
        if found.get(place) != expected.get(place):
            trial.not_as_undisturbed.append(f"{place}: {len(found.get(place, []))} rows")
    trial.unreadable += [*now.unreadable, *now.refused]
    plain = Counter({place: len(rows) for place, rows in now.rows.items() if place[0] not in ("raw", "ledger")})
    if plain != now.plain:
        trial.not_as_undisturbed.append(f"a plain reader sees {now.plain.total()} rows, ours {plain.total()}")
