"""Settings: defaults, overlays, environment, and what a mistake looks like to the person who made it."""

import os
import time
from pathlib import Path

import pytest

from opt_data.config.load import load_settings, section_models
from opt_data.config.models import Settings
from opt_data.config.toml_lines import toml_entries
from opt_data.errors import ConfigInvalid

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "include" / "config").mkdir(parents=True)
    write(tmp_path, "")
    return tmp_path


def write(root: Path, text: str, name: str = "include/config/opt_data.toml") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(root: Path, *overlays: str | Path, **variables: str) -> Settings:
    return load_settings(overlays or None, environ={"OPT_DATA_PROJECT_ROOT": str(root), **variables})


def failure(root: Path, *overlays: str | Path, **variables: str) -> str:
    with pytest.raises(ConfigInvalid) as caught:
        load(root, *overlays, **variables)
    return str(caught.value)


class TestShippedFiles:
    def test_opt_data_toml_lists_every_key_once_with_its_default_in_the_models_order(self) -> None:
        import tomllib

        text = (CHECKOUT / "include/config/opt_data.toml").read_text(encoding="utf-8")
        listed = [(entry.section, entry.key) for entry in toml_entries(text) if entry.key]
        expected = [(name, key) for name, model in section_models().items() for key in model.model_fields]
        assert listed == expected
        values = tomllib.loads(text)
        for name, model in section_models().items():
            for key, info in model.model_fields.items():
                default = info.default
                comparable = str(default) if isinstance(default, Path) else default
                given = values[name][key]
                assert (tuple(given) if isinstance(given, list) else given) == comparable, f"[{name}] {key}"
                assert type(given) is (list if isinstance(default, tuple) else type(comparable)), f"[{name}] {key}"

    def test_every_key_of_opt_data_toml_has_a_comment(self) -> None:
        text = (CHECKOUT / "include/config/opt_data.toml").read_text(encoding="utf-8")
        assert [entry.key for entry in toml_entries(text) if entry.key and not entry.comment] == []

    def test_demo_runs_on_the_simulated_market_in_its_own_roots(self) -> None:
        demo = load(CHECKOUT, "include/config/demo.toml")
        real = load(CHECKOUT)
        assert demo.clock.source == "gateway"
        assert demo.gateway.simulated
        assert not real.gateway.simulated
        assert demo.paths.data_root != real.paths.data_root
        assert demo.paths.state_root != real.paths.state_root
        assert demo.universe.intraday_file == CHECKOUT / "include/config/universe_demo.csv"

    def test_demo_asks_for_at_most_30_contracts_a_class(self) -> None:
        discovery = load(CHECKOUT, "include/config/demo.toml").discovery
        assert 20 <= discovery.max_expiries_per_class * discovery.max_strikes_per_expiry * 2 <= 30


class TestMerging:
    def test_later_sources_win(self, root: Path) -> None:
        write(root, "[capture]\nretries = 1\nlinger_s = 1.5\nparallel_tasks = 2\n")
        write(root, "[capture]\nretries = 2\nlinger_s = 2.5\n", "site.toml")
        write(root, "[capture]\nretries = 3\n", "host.toml")
        settings = load(root, OPT_DATA_CONFIG="site.toml:host.toml", OPT_DATA__CAPTURE__PARALLEL_TASKS="7")
        capture = settings.capture
        assert (capture.parallel_tasks, capture.retries, capture.linger_s) == (7, 3, 2.5)

    def test_overlays_may_be_separated_by_commas_and_name_the_base_file(self, root: Path) -> None:
        write(root, "[capture]\nretries = 1\n")
        write(root, "[capture]\nlinger_s = 2.5\n", "site.toml")
        settings = load(root, OPT_DATA_CONFIG="include/config/opt_data.toml, site.toml")
        assert (settings.capture.retries, settings.capture.linger_s) == (1, 2.5)

    @pytest.mark.parametrize(
        ("variable", "text", "section", "key", "expected"),
        [
            ("OPT_DATA__GATEWAY__ALLOW_DELAYED", "false", "gateway", "allow_delayed", False),
            ("OPT_DATA__GATEWAY__MESSAGES_PER_S_MAX", "50", "gateway", "messages_per_s_max", 50.0),
            ("OPT_DATA__CAPTURE__FALLBACK_EXCHANGES", "CBOE, ISE", "capture", "fallback_exchanges", ("CBOE", "ISE")),
            ("OPT_DATA__CAPTURE__FALLBACK_EXCHANGES", '["CBOE"]', "capture", "fallback_exchanges", ("CBOE",)),
            ("OPT_DATA__CAPTURE__FALLBACK_EXCHANGES", "", "capture", "fallback_exchanges", ()),
            ("OPT_DATA__CAPTURE__GENERIC_TICKS", "100,101", "capture", "generic_ticks", "100,101"),
            ("OPT_DATA__DISCOVERY__EXPIRY_TYPES", "monthly", "discovery", "expiry_types", ("monthly",)),
            ("OPT_DATA__PATHS__DATA_ROOT", "/srv/chains", "paths", "data_root", Path("/srv/chains")),
        ],
    )
    def test_environment_text_becomes_the_keys_type(
        self, root: Path, variable: str, text: str, section: str, key: str, expected: object
    ) -> None:
        value = getattr(getattr(load(root, **{variable: text}), section), key)
        assert value == expected
        assert type(value) is type(expected)

    def test_relative_paths_start_at_the_project_root_wherever_the_process_stands(
        self, root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        settings = load(root, OPT_DATA__PATHS__STATE_ROOT="var/state")
        assert settings.paths.data_root == root / "data"
        assert settings.paths.contracts_cache == root / "var/state/contracts_cache"

    def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(self, root: Path) -> None:
        path = write(root, "[capture]\nretries = 1\n")
        first = load(root)
        assert load(root) is first
        path.write_text("[capture]\nretries = 2\n", encoding="utf-8")
        os.utime(path, ns=(time.time_ns(), time.time_ns() + 1_000_000_000))
        assert load(root).capture.retries == 2

    def test_settings_are_frozen(self, root: Path) -> None:
        settings = load(root)
        with pytest.raises(ValueError, match="frozen"):
            settings.capture.retries = 9  # type: ignore[misc]


class TestMistakes:
    def test_unknown_key_names_file_line_and_the_key_probably_meant(self, root: Path) -> None:
        path = write(root, "[gateway]\nconn_id = 'x'\n\n[capture]\n# why\nparalel_tasks = 4\n")
        message = failure(root)
        assert f"{path}:6: unknown key paralel_tasks in [capture]; did you mean parallel_tasks?" in message

    def test_key_in_the_wrong_section_is_sent_home(self, root: Path) -> None:
        write(root, "[gateway]\nmoneyness_pct = 20.0\n")
        assert "unknown key moneyness_pct in [gateway]; did you mean [discovery] moneyness_pct?" in failure(root)

    def test_unknown_section(self, root: Path) -> None:
        path = write(root, "\n[captures]\nretries = 4\n")
        assert f"{path}:2: unknown section [captures]; did you mean [capture]?" in failure(root)

    def test_key_before_any_section(self, root: Path) -> None:
        path = write(root, "retries = 4\n")
        assert f"{path}:1: key retries stands outside its section; it belongs under [capture]" in failure(root)

    @pytest.mark.parametrize(
        ("line", "complaint"),
        [
            ('parallel_tasks = "4"', '[capture] parallel_tasks = "4": should be a valid integer'),
            ("parallel_tasks = 4.0", "[capture] parallel_tasks = 4.0: should be a valid integer"),
            ("parallel_tasks = true", "[capture] parallel_tasks = true: should be a valid integer"),
            ("parallel_tasks = 0", "[capture] parallel_tasks = 0: should be greater than or equal to 1"),
            ("require_greeks = 1", "[capture] require_greeks = 1: should be a valid boolean"),
            ("linger_s = -1.0", "[capture] linger_s = -1.0: should be greater than or equal to 0"),
            ("linger_s = nan", "[capture] linger_s = nan: should be a finite number"),
            ('generic_ticks = "100;101"', '[capture] generic_ticks = "100;101": String should match pattern'),
            ('exchange = "../x"', '[capture] exchange = "../x": String should match pattern'),
            ('fallback_exchanges = "CBOE"', '[capture] fallback_exchanges = "CBOE": should be a valid tuple'),
        ],
    )
    def test_wrong_type_or_limit_names_file_line_key_and_value(self, root: Path, line: str, complaint: str) -> None:
        path = write(root, f"[capture]\n{line}\n")
        assert f"{path}:2: {complaint}" in failure(root)

    def test_a_mornings_times_are_in_order(self, root: Path) -> None:
        write(root, '[open_interest]\nstart_at = "07:30"\nreread_until = "07:00"\n')
        assert "published_at = 06:30, start_at = 07:30 and reread_until = 07:00 are not in this order" in failure(root)

    @pytest.mark.parametrize("batch_size", [0, 51])
    def test_batches_are_1_to_50(self, root: Path, batch_size: int) -> None:
        write(root, f"[discovery]\nbatch_size = {batch_size}\n")
        assert f"[discovery] batch_size = {batch_size}:" in failure(root)

    def test_wrong_environment_variable_is_named(self, root: Path) -> None:
        message = failure(
            root,
            OPT_DATA__CAPTURE__RETRIES="many",
            OPT_DATA__CAPTURE__RETRYS="1",
            OPT_DATA__CAPTUR__RETRIES="1",
            OPT_DATA__GATEWAY__MARKET_DATA_TYPE="5",
        )
        assert "OPT_DATA__CAPTURE__RETRIES: [capture] retries = 'many': should be a valid integer" in message
        assert "OPT_DATA__CAPTURE__RETRYS: unknown key retrys in [capture]; did you mean retries?" in message
        assert "OPT_DATA__CAPTUR__RETRIES: unknown section [captur]; did you mean [capture]?" in message
        assert "OPT_DATA__GATEWAY__MARKET_DATA_TYPE: [gateway] market_data_type = 5:" in message

    def test_all_mistakes_are_reported_at_once(self, root: Path) -> None:
        write(root, '[capture]\nretries = "x"\nlinger_s = -1.0\nnonsense = 1\n')
        assert failure(root).count("opt_data.toml:") == 3

    def test_settings_that_contradict_each_other(self, root: Path) -> None:
        write(root, "[gateway]\nmarket_data_lines = 3\n[capture]\nparallel_tasks = 4\n")
        assert "parallel_tasks = 4 tasks cannot share 3 market-data lines" in failure(root)
        write(root, "[gateway]\nmarket_data_lines = 10\nreserved_lines = 10\n")
        assert "reserved_lines = 10 leaves none of market_data_lines = 10" in failure(root)

    def test_the_markets_own_clock_needs_a_simulated_gateway(self, root: Path) -> None:
        write(root, '[clock]\nsource = "gateway"\n')
        assert "needs gateway.simulated = true" in failure(root)

    def test_missing_overlay(self, root: Path) -> None:
        message = failure(root, "nowhere.toml")
        assert f"configuration file {root / 'nowhere.toml'} does not exist" in message
        assert "OPT_DATA_CONFIG" in message

    def test_missing_base_file(self, tmp_path: Path) -> None:
        assert "set OPT_DATA_PROJECT_ROOT" in failure(tmp_path)

    def test_broken_toml_names_file_and_line(self, root: Path) -> None:
        path = write(root, "[capture]\nretries = = 4\n")
        message = failure(root)
        assert str(path) in message
        assert "line 2" in message

    def test_file_that_is_no_text(self, root: Path) -> None:
        (root / "include/config/opt_data.toml").write_bytes(b"\xff\xfe\x00")
        assert "not valid UTF-8" in failure(root)

    def test_a_mistake_is_reported_again_after_it_was_reported_once(self, root: Path) -> None:
        write(root, "[capture]\nnonsense = 1\n")
        assert failure(root) == failure(root)


class TestAllowance:
    def test_reserved_lines_are_left_to_others(self, root: Path) -> None:
        gateway = load(root, OPT_DATA__GATEWAY__MARKET_DATA_LINES="200", OPT_DATA__GATEWAY__RESERVED_LINES="20").gateway
        assert gateway.usable_lines == 180
