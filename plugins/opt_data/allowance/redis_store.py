"""The shared state in Redis: tasks of several hosts that use one gateway."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from opt_data.allowance.state_json import decode, encode
from opt_data.core.allowance import PAUSE_AFTER_LOSS_S, AllowanceState, as_of_now
from opt_data.errors import AllowanceUnavailable

if TYPE_CHECKING:
    from redis import Connection

T = TypeVar("T")

ANSWER_S = 0.5
"""The longest wait for one answer: nothing else of the task goes on meanwhile."""
TRANSACTION_S = 2.0
"""The longest a change is tried again because other tasks were faster."""
KEEP_MS = 24 * 3600 * 1000
"""How long the state of a gateway that nobody uses is kept, milliseconds."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis listens and how to log in. The password is in no text made of this."""

    host: str
    port: int = 6379
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    uses_tls: bool = False


class RedisStore:
    """One key a gateway. A change is kept only if nobody else changed the state meanwhile; otherwise it is made again.

    Times are the Redis server's clock, the only one that all hosts see. Nothing is locked, so that a task that is
    killed leaves nothing to be released. A state that is missing is begun after a moment's pause: it may be a lost one.

    Parameters
    ----------
    address
        The Redis server; a single one, no cluster.
    gateway
        The gateway's name in the key, the same on every host.
    """

    def __init__(self, address: RedisAddress, gateway: str) -> None:
        import redis  # here, since it takes a while: later an event loop would wait for it

        self._redis = redis
        self._address = address
        self._key = f"opt_data:allowance:{gateway}"
        self._connection: Connection | None = None

    @property
    def repeats(self) -> bool:
        return True

    def now(self) -> float:
        ((seconds, microseconds),) = self._explained(lambda: self._ask(("TIME",)))
        return int(seconds) + int(microseconds) / 1e6

    def transact(self, change: Callable[[AllowanceState, float], T]) -> T:
        return self._explained(lambda: self._changed(change))

    def _explained(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except (self._redis.RedisError, OSError) as error:
            self.close()
            where = f"Redis at {self._address.host}:{self._address.port}"
            raise AllowanceUnavailable(f"{where} does not serve the allowance: {error}") from error

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    def _changed(self, change: Callable[[AllowanceState, float], T]) -> T:
        ends = monotonic() + TRANSACTION_S
        while True:
            _, data, (seconds, microseconds) = self._read()
            now = int(seconds) + int(microseconds) / 1e6
            state = decode(data) if data else None
            state = AllowanceState(next_at=now + PAUSE_AFTER_LOSS_S) if state is None else as_of_now(state, now)
            result = change(state, now)
            *_, stored = self._ask(("MULTI",), ("SET", self._key, encode(state), "PX", KEEP_MS), ("EXEC",))
            if stored is not None:
                return result
            if monotonic() > ends:
                raise AllowanceUnavailable(f"other tasks were faster for {TRANSACTION_S:g} s: {self._key} in Redis")

    def _read(self) -> list[Any]:
        """State and time, in one round trip; a connection that the server closed while it was idle is made anew."""
        was_open = self._connection is not None
        questions = (("WATCH", self._key), ("GET", self._key), ("TIME",))
        try:
            return self._ask(*questions)
        except self._redis.ConnectionError:
            if not was_open:
                raise
            self.close()
            return self._ask(*questions)

    def _ask(self, *commands: Sequence[str | bytes | int]) -> list[Any]:
        connection = self._connected()
        connection.send_packed_command(connection.pack_commands(commands))
        return [connection.read_response() for _ in commands]

    def _connected(self) -> "Connection":
        if self._connection is None:
            address = self._address
            kind = self._redis.SSLConnection if address.uses_tls else self._redis.Connection
            connection = kind(
                host=address.host, port=address.port, db=address.database, username=address.username,
                password=address.password, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, protocol=2,
            )  # fmt: skip
            connection.connect()
            self._connection = connection
        return self._connection
