"""What earlier slots taught about each symbol's contracts: one small JSON file a symbol.

It only makes captures faster, so it is never a reason to fail: a file that is missing, damaged or of another version
is no knowledge, and one that cannot be written is said in the log.
"""

import json
import logging
from pathlib import Path

from opt_data.core.dwell import DwellKnowledge, Experience
from opt_data.storage.atomic_file import write_atomically
from opt_data.storage.layout import check_symbol

log = logging.getLogger(__name__)

FORMAT = 1


class DwellStore:
    """Reads and replaces ``<directory>/SYM.json``.

    Parameters
    ----------
    directory
        ``state/dwell``; created on the first write.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, symbol: str) -> Path:
        """The file of one symbol; a class share's blank becomes a dot."""
        return self._directory / f"{check_symbol(symbol).replace(' ', '.')}.json"

    def load(self, symbol: str) -> DwellKnowledge:
        """What is known of a symbol; nothing, if the file does not say."""
        path = self.path(symbol)
        try:
            document = json.loads(path.read_bytes())
            if document["format"] != FORMAT:
                return DwellKnowledge()
            return DwellKnowledge(
                {str(kind): _experience(*one) for kind, one in document["kinds"].items()},
                {int(conid): _experience(*one) for conid, one in document["contracts"].items()},
            )
        except FileNotFoundError:
            return DwellKnowledge()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.warning("%s is not used, learning begins anew: %s", path, error)
            return DwellKnowledge()

    def save(self, symbol: str, knowledge: DwellKnowledge) -> None:
        """Replace what is known of a symbol. Of two tasks that save at once, the later one's stays."""
        document = {
            "format": FORMAT,
            "kinds": {kind: _numbers(one) for kind, one in knowledge.kinds.items()},
            "contracts": {str(conid): _numbers(one) for conid, one in knowledge.contracts.items()},
        }
        path = self.path(symbol)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(document, separators=(",", ":"), allow_nan=False).encode())
        except OSError as error:
            log.warning("%s cannot be written, this slot taught nothing: %s", path, error)


def _numbers(one: Experience) -> list[float | None]:
    return [one.asked, round(one.ready_share, 4), _rounded(one.dwell_s), _rounded(one.slowest_s)]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _experience(asked: int, ready_share: float, dwell_s: float | None, slowest_s: float | None) -> Experience:
    """From the file; refuses what cannot have been written.

    Raises
    ------
    ValueError, TypeError
        A number is missing or out of range.
    """
    if not (asked >= 0 and 0.0 <= ready_share <= 1.0):
        raise ValueError(f"{asked} answers, {ready_share} of them complete")
    return Experience(int(asked), float(ready_share), _seconds(dwell_s), _seconds(slowest_s))


def _seconds(value: float | None) -> float | None:
    if value is None:
        return None
    if not 0.0 <= value < 86_400.0:
        raise ValueError(f"{value} is not a dwell in seconds")
    return float(value)
