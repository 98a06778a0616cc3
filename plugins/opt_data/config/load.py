"""Settings from TOML files and the environment, each mistake with its file, line, key and a suggestion.

Order, later wins: the defaults, ``include/config/opt_data.toml``, each overlay named by ``OPT_DATA_CONFIG`` (or given
as an argument), then ``OPT_DATA__SECTION__KEY=value``.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from opt_data.config.models import Section, Settings
from opt_data.config.toml_lines import key_lines
from opt_data.errors import ConfigInvalid

CONFIG_FILES_VARIABLE = "OPT_DATA_CONFIG"
PROJECT_ROOT_VARIABLE = "OPT_DATA_PROJECT_ROOT"
OVERRIDE_PREFIX = "OPT_DATA__"
BASE_FILE = Path("include/config/opt_data.toml")

_cache: dict[tuple[object, ...], Settings] = {}


def section_models() -> dict[str, type[Section]]:
    """The sections in the order of the file, with the model of each."""
    found: dict[str, type[Section]] = {}
    for name, info in Settings.model_fields.items():
        if not (isinstance(info.annotation, type) and issubclass(info.annotation, Section)):
            raise TypeError(f"Settings.{name} is not a section")
        found[name] = info.annotation
    return found


def find_project_root(environ: Mapping[str, str] | None = None) -> Path:
    """The folder above ``include/``: ``OPT_DATA_PROJECT_ROOT`` if set, else the checkout this package lies in."""
    named = (os.environ if environ is None else environ).get(PROJECT_ROOT_VARIABLE, "").strip()
    if named:
        return Path(named).expanduser().absolute()
    return Path(__file__).resolve().parents[3]


def config_files(
    root: Path, environ: Mapping[str, str] | None = None, overlays: Sequence[Path | str] | None = None
) -> tuple[Path, ...]:
    """The files that are read, in order: the base file, then the overlays.

    ``overlays`` replaces ``OPT_DATA_CONFIG``, which holds paths separated by ``:`` (``;`` on Windows) or commas.
    Relative paths are relative to ``root``.
    """
    if overlays is None:
        named = (os.environ if environ is None else environ).get(CONFIG_FILES_VARIABLE, "")
        overlays = [part.strip() for part in named.replace(os.pathsep, ",").split(",") if part.strip()]
    base = root / BASE_FILE
    resolved = [root / Path(overlay).expanduser() for overlay in overlays]
    return (base, *(path for path in resolved if path != base))


def load_settings(
    overlays: Sequence[Path | str] | None = None, *, environ: Mapping[str, str] | None = None
) -> Settings:
    """Read, merge and check all settings. Cached: read again only when a file or the environment changed.

    Parameters
    ----------
    overlays
        Files laid over the base file; replaces ``OPT_DATA_CONFIG``.
    environ
        Replaces the process's environment.

    Raises
    ------
    ConfigInvalid
        A file is missing or no TOML, a key is unknown, a value has the wrong type or is out of range. The message
        lists every mistake with its file and line, or its environment variable.
    """
    env = os.environ if environ is None else environ
    root = find_project_root(env)
    files = config_files(root, env, overlays)
    overrides = tuple(sorted((name, value) for name, value in env.items() if name.startswith(OVERRIDE_PREFIX)))
    key = (root, overrides, *((path, *_file_state(path, root)) for path in files))
    if key not in _cache:
        _cache.clear()
        _cache[key] = _read_settings(root, files, overrides)
    return _cache[key]


def _file_state(path: Path, root: Path) -> tuple[int, int, int]:
    try:
        state = path.stat()
    except FileNotFoundError:
        raise ConfigInvalid(
            f"configuration file {path} does not exist; relative paths start at the project root {root} "
            f"(set {PROJECT_ROOT_VARIABLE} if that is the wrong folder, {CONFIG_FILES_VARIABLE} names the overlays)"
        ) from None
    except OSError as error:
        raise ConfigInvalid(f"configuration file {path} cannot be read: {error}") from error
    return state.st_mtime_ns, state.st_size, state.st_ino


@dataclass(slots=True)
class _Merged:
    """Values as they will be checked, and where each came from."""

    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    origins: dict[tuple[str, str], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def put(self, section: str, key: str, value: object, origin: str) -> None:
        self.values.setdefault(section, {})[key] = value
        self.origins[section, key] = origin


def _read_settings(root: Path, files: Sequence[Path], overrides: Iterable[tuple[str, str]]) -> Settings:
    merged = _Merged()
    for path in files:
        _merge_file(merged, path)
    for name, text in overrides:
        _merge_override(merged, name, text)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(merged.values, context={"project_root": root})
    except ValidationError as error:
        merged.problems += [_describe(details, merged) for details in error.errors(include_url=False)]
    if settings is None or merged.problems:
        raise ConfigInvalid("configuration is wrong:\n  " + "\n  ".join(merged.problems))
    return settings


def _merge_file(merged: _Merged, path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"{path} is not valid TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path} is not valid UTF-8 text: {error}") from error
    except OSError as error:
        raise ConfigInvalid(f"configuration file {path} cannot be read: {error}") from error
    lines = key_lines(text)
    sections = section_models()
    for section, content in document.items():
        where = f"{path}:{lines.get((section, ''), lines.get(('', section), 1))}"
        if section not in sections or not isinstance(content, dict):
            merged.problems.append(f"{where}: {_unknown_section(section, isinstance(content, dict))}")
            continue
        for key, value in content.items():
            line = lines.get((section, key))
            origin = f"{path}:{line}" if line else where
            if key not in sections[section].model_fields:
                merged.problems.append(f"{origin}: {_unknown_key(section, key)}")
                continue
            merged.put(section, key, tuple(value) if isinstance(value, list) else value, origin)


def _merge_override(merged: _Merged, name: str, text: str) -> None:
    origin = f"environment variable {name}"
    section, _, key = name[len(OVERRIDE_PREFIX) :].lower().partition("__")
    sections = section_models()
    if section not in sections:
        merged.problems.append(f"{origin}: {_unknown_section(section, True)}")
        return
    if key not in sections[section].model_fields:
        merged.problems.append(f"{origin}: {_unknown_key(section, key)}")
        return
    info = sections[section].model_fields[key]
    annotation: Any = info.annotation
    given: object = text
    if isinstance(info.default, tuple):
        given = tuple(part.strip(" \t\"'") for part in text.strip().strip("[]").split(",") if part.strip())
    try:
        value = TypeAdapter(annotation).validate_python(given)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        merged.problems.append(f"{origin}: [{section}] {key} = {text!r}: {_sentence(details['msg'])}")
        return
    merged.put(section, key, text if isinstance(value, Path) else value, origin)


def _unknown_section(section: str, is_table: bool) -> str:
    sections = section_models()
    if not is_table:
        homes = [name for name, model in sections.items() if section in model.model_fields]
        hint = f"it belongs under [{homes[0]}]" if homes else "every key belongs under a [section]"
        return f"key {section} stands outside its section; {hint}"
    near = get_close_matches(section, sections, n=1)
    hint = f"did you mean [{near[0]}]?" if near else f"the sections are {', '.join(sections)}"
    return f"unknown section [{section}]; {hint}"


def _unknown_key(section: str, key: str) -> str:
    sections = section_models()
    keys = list(sections[section].model_fields)
    homes = [name for name, model in sections.items() if key in model.model_fields]
    near = get_close_matches(key, keys, n=1)
    if homes:
        hint = f"did you mean [{homes[0]}] {key}?"
    elif near:
        hint = f"did you mean {near[0]}?"
    else:
        hint = f"its keys are {', '.join(keys)}"
    return f"unknown key {key} in [{section}]; {hint}"


def _describe(details: Any, merged: _Merged) -> str:
    """One pydantic error as a sentence with its place."""
    location = tuple(str(part) for part in details["loc"])
    if len(location) >= 2:
        section, key = location[0], location[1]
        origin = merged.origins.get((section, key), "default")
        return f"{origin}: [{section}] {key} = {_as_toml(details['input'])}: {_sentence(details['msg'])}"
    section = location[0] if location else ""
    places = [origin for (name, _), origin in merged.origins.items() if section in ("", name)]
    where = f"[{section}]" if section else "settings"
    files = sorted({place.rpartition(":")[0] or place for place in places})
    return f"{where}: {_sentence(details['msg'])} ({', '.join(files)})"


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input ").strip()


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        return f'"{value}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_as_toml(part) for part in value) + "]"
    return str(value)
