"""Every setting: type, unit (in its name), limits and default. What each is for stands in ``opt_data.toml``."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

ExpiryType = Literal["weekly", "monthly", "quarterly"]


def _resolve_path(value: object, info: ValidationInfo) -> object:
    """Make a path absolute against the project root, never against the process's working directory."""
    if isinstance(value, str | Path):
        if not str(value).strip():
            raise ValueError("must not be empty")
        path = Path(value).expanduser()
        root = (info.context or {}).get("project_root")
        return path if path.is_absolute() or root is None else Path(root) / path
    return value


ProjectPath = Annotated[Path, BeforeValidator(_resolve_path)]
ExchangeName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]*$")]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Percent = Annotated[float, Field(ge=0.0, le=100.0)]
Seconds = Annotated[float, Field(gt=0.0, le=86400.0)]
CronLine = Annotated[str, Field(pattern=r"^\S+( \S+){4}$")]
ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
NewYorkTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Section(BaseModel):
    """One table of the TOML file: frozen, closed, and strict about types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False)


class PathSettings(Section):
    """Where files live."""

    data_root: ProjectPath = Path("data")
    state_root: ProjectPath = Path("state")

    @property
    def contracts_cache(self) -> Path:
        return self.state_root / "contracts_cache"

    @property
    def locks(self) -> Path:
        return self.state_root / "locks"

    @property
    def allowance(self) -> Path:
        return self.state_root / "allowance"

    @property
    def dwell(self) -> Path:
        return self.state_root / "dwell"

    @property
    def run_logs(self) -> Path:
        return self.state_root / "run_logs"


class UniverseSettings(Section):
    """Which symbols."""

    intraday_file: ProjectPath = Path("include/config/universe_intraday.csv")
    close_file: ProjectPath = Path("include/config/universe.csv")


class CalendarSettings(Section):
    """Trading days."""

    overrides_file: ProjectPath = Path("include/config/calendar_overrides.csv")
    fixed_grid_fallback: bool = False


class CorporateActionSettings(Section):
    """Splits and everything else that changes what an option's terms are."""

    table_file: ProjectPath = Path("include/config/corporate_actions.csv")


class ClockSettings(Section):
    """Where the time comes from."""

    source: Literal["system", "gateway"] = "system"


class GatewaySettings(Section):
    """The connection to IB and the allowance that comes with the login."""

    conn_id: ConnectionId = "ib_gateway"
    simulated: bool = False
    connect_timeout_s: Seconds = 10.0
    request_timeout_s: Seconds = 20.0
    market_data_lines: Annotated[int, Field(ge=1, le=10000)] = 100
    reserved_lines: Annotated[int, Field(ge=0, le=10000)] = 0
    messages_per_s_max: Annotated[float, Field(ge=0.0, le=5000.0)] = 0.0
    message_rate_share: Share = 0.95
    message_scope: Literal["gateway", "connection"] = "gateway"
    allowance_redis_conn_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]*$")] = ""
    snapshots_per_min_max: Annotated[float, Field(ge=0.0, le=100_000.0)] = 0.0
    concurrent_snapshots_max: Annotated[int, Field(ge=0, le=10_000)] = 0
    market_data_type: Annotated[int, Field(ge=1, le=4)] = 1
    allow_delayed: bool = True

    @model_validator(mode="after")
    def _leave_a_line(self) -> Self:
        if self.reserved_lines >= self.market_data_lines:
            raise ValueError(
                f"reserved_lines = {self.reserved_lines} leaves none of market_data_lines = {self.market_data_lines}"
            )
        return self

    @property
    def usable_lines(self) -> int:
        """Market-data lines that all running tasks together may hold open."""
        return self.market_data_lines - self.reserved_lines


class CaptureSettings(Section):
    """How one slot is captured."""

    pool: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")] = "ib_gateway"
    parallel_tasks: Annotated[int, Field(ge=1, le=32)] = 4
    symbols_per_task: Annotated[int, Field(ge=1, le=500)] = 1
    exchange: ExchangeName = "SMART"
    fallback_exchanges: tuple[ExchangeName, ...] = ("CBOE", "CBOEOPT")
    generic_ticks: Annotated[str, Field(pattern=r"^(\d+(,\d+)*)?$")] = "104,221,233"
    require_greeks: bool = True
    ready_timeout_s: Seconds = 12.0
    linger_s: Annotated[float, Field(ge=0.0, le=60.0)] = 0.25
    slot_grace_s: Annotated[float, Field(ge=0.0, lt=1800.0)] = 120.0
    fail_on_missing_cache: bool = False
    min_coverage_pct: Percent = 90.0
    task_timeout_min: Annotated[float, Field(gt=0.0, le=1440.0)] = 25.0
    retries: Annotated[int, Field(ge=0, le=20)] = 4
    retry_delay_s: Seconds = 30.0
    retry_delay_max_s: Seconds = 240.0

    @model_validator(mode="after")
    def _delays_in_order(self) -> Self:
        if self.retry_delay_max_s < self.retry_delay_s:
            raise ValueError(
                f"retry_delay_max_s = {self.retry_delay_max_s} is less than retry_delay_s = {self.retry_delay_s}"
            )
        return self


class DiscoverySettings(Section):
    """Which contracts of a symbol belong to the day's set."""

    before_open_min: Annotated[int, Field(ge=0, le=240)] = 5
    midday_refresh: bool = False
    midday_refresh_at: NewYorkTime = "12:00"
    moneyness_pct: Annotated[float, Field(gt=0.0, le=1000.0)] = 30.0
    expiry_types: Annotated[tuple[ExpiryType, ...], Field(min_length=1)] = ("weekly", "monthly", "quarterly")
    months_ahead: Annotated[int, Field(ge=0, le=60)] = 2
    max_expiries_per_class: Annotated[int, Field(ge=0, le=1000)] = 8
    strikes_per_side: Annotated[int, Field(ge=0, le=1000)] = 3
    max_strikes_per_expiry: Annotated[int, Field(ge=0, le=2000)] = 6
    include_adjusted: bool = False
    batch_size: Annotated[int, Field(ge=1, le=50)] = 40
    requests_per_min_max: Annotated[float, Field(ge=0.0, le=100_000.0)] = 0.0
    fill_rounds_max: Annotated[int, Field(ge=0, le=10)] = 3
    max_failed_pct: Percent = 10.0
    verify_every_days: Annotated[int, Field(ge=1, le=366)] = 7
    stale_max_days: Annotated[int, Field(ge=1, le=31)] = 7
    task_timeout_min: Annotated[float, Field(gt=0.0, le=1440.0)] = 15.0
    retries: Annotated[int, Field(ge=0, le=20)] = 4
    retry_delay_s: Seconds = 30.0


class RollupSettings(Section):
    """How the day is closed and rolled up."""

    run_at: NewYorkTime = "17:30"
    allow_intraday_fallback: bool = True
    task_timeout_min: Annotated[float, Field(gt=0.0, le=1440.0)] = 15.0
    retries: Annotated[int, Field(ge=0, le=20)] = 4
    retry_delay_s: Seconds = 60.0


class OpenInterestSettings(Section):
    """How the next morning's open interest is read."""

    start_at: NewYorkTime = "07:30"
    published_at: NewYorkTime = "06:30"
    reread_until: NewYorkTime = "09:00"
    reread_after_s: Seconds = 600.0
    min_filled_pct: Percent = 90.0
    ready_timeout_s: Seconds = 12.0
    task_timeout_min: Annotated[float, Field(gt=0.0, le=1440.0)] = 15.0
    retries: Annotated[int, Field(ge=0, le=20)] = 4
    retry_delay_s: Seconds = 60.0

    @model_validator(mode="after")
    def _morning_in_order(self) -> Self:
        if not self.published_at <= self.start_at < self.reread_until:
            raise ValueError(
                f"published_at = {self.published_at}, start_at = {self.start_at} and reread_until = "
                f"{self.reread_until} are not in this order"
            )
        return self


class RebuildSettings(Section):
    """How slots that are over are rebuilt from IB's 1-minute bars."""

    open_requests: Annotated[int, Field(ge=1, le=50)] = 40
    requests_per_min: Annotated[float, Field(ge=0.0, le=6000.0)] = 0.0
    request_timeout_s: Seconds = 60.0
    ask_again_after_min: Annotated[float, Field(ge=0.25, le=1440.0)] = 60.0
    rate_pct: Annotated[float, Field(ge=-10.0, le=100.0)] = 4.0


class MaintenanceSettings(Section):
    """Weekly upkeep: compaction and retention of intraday chains."""

    schedule: CronLine = "0 9 * * 6"
    merge_same_day: bool = False
    same_day_schedule: CronLine = "0 20 * * 1-5"
    file_min_mb: Annotated[int, Field(ge=1, le=1024)] = 128
    file_max_mb: Annotated[int, Field(ge=2, le=2048)] = 256
    row_group_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 32768
    cold_after_days: Annotated[int, Field(ge=0, le=3660)] = 14
    cold_codec: Literal["zstd", "snappy"] = "zstd"
    intraday_keep_days: Annotated[int, Field(ge=7, le=36600)] = 60
    error_log_keep_days: Annotated[int, Field(ge=1, le=36600)] = 30
    gateway_log_keep_days: Annotated[int, Field(ge=1, le=36600)] = 60
    retire: Literal["delete", "move"] = "delete"
    cold_root: ProjectPath = Path("cold")
    task_timeout_min: Annotated[float, Field(gt=0.0, le=1440.0)] = 180.0
    retries: Annotated[int, Field(ge=0, le=20)] = 4
    retry_delay_s: Seconds = 120.0

    @model_validator(mode="after")
    def _sizes_in_order(self) -> Self:
        if self.file_max_mb < 2 * self.file_min_mb:
            raise ValueError(
                f"file_max_mb = {self.file_max_mb} is not at least twice file_min_mb = {self.file_min_mb}: "
                "not every amount could be cut into such files"
            )
        return self


class AlertSettings(Section):
    """By when runs must be done, and where it is told when they are not."""

    discovery_min: Annotated[float, Field(gt=0.0, le=1440.0)] = 10.0
    intraday_min: Annotated[float, Field(gt=0.0, le=1440.0)] = 20.0
    eod_at: NewYorkTime = "19:00"
    open_interest_at: NewYorkTime = "09:15"
    maintenance_min: Annotated[float, Field(gt=0.0, le=1440.0)] = 180.0
    max_age_h: Annotated[float, Field(gt=0.0, le=168.0)] = 24.0
    smtp_conn_id: ConnectionId = "smtp_default"
    mail_to: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = ()
    webhook_conn_id: ConnectionId = "opt_data_webhook"


class Settings(Section):
    """All settings, after the files and the environment have been merged."""

    paths: PathSettings = Field(default_factory=PathSettings)
    universe: UniverseSettings = Field(default_factory=UniverseSettings)
    calendar: CalendarSettings = Field(default_factory=CalendarSettings)
    corporate_actions: CorporateActionSettings = Field(default_factory=CorporateActionSettings)
    clock: ClockSettings = Field(default_factory=ClockSettings)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    capture: CaptureSettings = Field(default_factory=CaptureSettings)
    discovery: DiscoverySettings = Field(default_factory=DiscoverySettings)
    rollup: RollupSettings = Field(default_factory=RollupSettings)
    open_interest: OpenInterestSettings = Field(default_factory=OpenInterestSettings)
    rebuild: RebuildSettings = Field(default_factory=RebuildSettings)
    maintenance: MaintenanceSettings = Field(default_factory=MaintenanceSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.clock.source == "gateway" and not self.gateway.simulated:
            raise ValueError(
                'clock.source = "gateway" needs gateway.simulated = true: '
                "with a real gateway the time is this machine's own"
            )
        if self.capture.parallel_tasks > self.gateway.usable_lines:
            raise ValueError(
                f"capture.parallel_tasks = {self.capture.parallel_tasks} tasks cannot share "
                f"{self.gateway.usable_lines} market-data lines (gateway.market_data_lines - gateway.reserved_lines)"
            )
        return self
