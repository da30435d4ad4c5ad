"""Settings: read once, frozen, validated together.

Order, the later wins: defaults, `batch_sync.toml`, environment `BATCH_SYNC_…` with `__` between
levels, secrets in files (`BATCH_SYNC_TARGET__URL_FILE=/run/secrets/target`). Without any source and
target the demo databases are used.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as UnreadableVariable

from sync.errors import N_, SettingsError
from sync.model import SchemaChange, Verify
from sync.settings_errors import worded
from sync.urls import check_lock_url, is_redis, normalized_url

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME = "batch_sync.toml"
PREFIX = "BATCH_SYNC_"
NOT_SETTINGS = {"CONFIG", "DEBUG"}
NAME = r'"(?:[^"]|"")+"|[^".]+'  # quoted, or without dots and quotes


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("it must be an IANA time zone") from None
    return name


def _database_url(value: object) -> object:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str):
        normalized_url(text)
    return value


def _store_url(value: object) -> object:
    return value if value == "" else _database_url(value)


def _lock_url(value: object) -> object:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if text and isinstance(text, str):
        check_lock_url(text)
    return value


DatabaseUrl = Annotated[SecretStr, BeforeValidator(_database_url)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SourceSettings(_Section):
    """Where rows are read."""

    url: DatabaseUrl


class TargetSettings(_Section):
    """Where rows are written, and where lease, runs and checkpoints stand."""

    url: DatabaseUrl
    schema_name: str = Field(default="public", alias="schema", min_length=1)


class TableSettings(_Section):
    """One table to sync; `name` may be `schema.table`."""

    name: str = Field(min_length=1)
    date_column: str = Field(min_length=1)
    target_name: str | None = Field(default=None, min_length=1)
    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    convert: tuple[str, ...] = ()
    where: str | None = None
    on_schema_change: SchemaChange = SchemaChange.FAIL

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        split_name(name)
        return name

    @property
    def target(self) -> str:
        """The table's name in the target's schema."""
        return self.target_name or split_name(self.name)[1]


class RunSettings(_Section):
    """How a run goes; every timeout is here, so that tests can make it short."""

    max_parallel: int = Field(default=1, ge=1, le=32)
    group_rows: int = Field(default=100_000, ge=1)
    attempts_max: int = Field(default=3, ge=1, le=20)
    retry_pause_s: Seconds = 0.5
    stall_after_s: Seconds = 60
    heartbeat_s: Seconds = 2
    heartbeat_old_s: Seconds = 10
    progress_every_s: Seconds = 0.5
    shrink_max: float = Field(default=0.5, ge=0, le=1)
    snapshot: bool = True
    verify: Verify = Verify.NONE
    connect_timeout_s: int = Field(default=10, ge=2, le=300)
    lock_timeout_s: Seconds = 30
    start_wait_s: Seconds = 1
    takeover_grace_s: Seconds = 5
    queue_every_s: Seconds = 1
    queue_pause_s: Seconds = 10

    @model_validator(mode="after")
    def _beats_in_time(self) -> Self:
        if self.heartbeat_s * 2 >= self.heartbeat_old_s:
            raise ValueError("heartbeat_old_s must be more than twice heartbeat_s")
        return self


class LockSettings(_Section):
    """A lock beside those of this machine and of the target; empty means those suffice.

    `ttl_s` is how long Redis keeps the key of a holder that no longer renews it.
    """

    url: Annotated[SecretStr, BeforeValidator(_lock_url)] = SecretStr("")
    ttl_s: Seconds = 30


class StoreSettings(_Section):
    """Where progress is kept; empty means SQLite in `state_dir`."""

    url: Annotated[SecretStr, BeforeValidator(_store_url)] = SecretStr("")


class _Environment(EnvSettingsSource):
    """Environment variables, and the files that `BATCH_SYNC_…_FILE` name."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        values = dict(super()._load_env_vars())
        prefix = PREFIX.lower()
        for name, value in [*values.items()]:
            if name.startswith(prefix) and name.endswith("_file") and value:
                values[name.removesuffix("_file")] = _secret(name, value)
                del values[name]
        return values


def _secret(name: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            N_("The file that {setting} names cannot be read: {reason}"),
            hint=N_("It must be a text file that holds the value alone."),
            setting=name.upper(),
            reason=str(error),
        ) from None


class Settings(BaseSettings):
    """All settings of one installation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        populate_by_name=True,
    )

    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    state_dir: Path = Path(".batch_sync")
    source: SourceSettings | None = None
    target: TargetSettings | None = None
    tables: tuple[TableSettings, ...] = ()
    run: RunSettings = RunSettings()
    lock: LockSettings = LockSettings()
    store: StoreSettings = StoreSettings()
    _file: Path | None = PrivateAttr(default=None)

    @property
    def file(self) -> Path | None:
        """The settings file that was read, if any."""
        return self._file

    @property
    def zone(self) -> ZoneInfo:
        """The configured time zone."""
        return ZoneInfo(self.timezone)

    @property
    def connections(self) -> int:
        """How many database connections a run opens at most."""
        locks = bool(self.lock.url.get_secret_value()) and not is_redis(
            self.lock.url.get_secret_value()
        )
        return 2 * self.run.max_parallel + 3 + locks

    @property
    def demo(self) -> bool:
        """Whether nothing is configured and the sample databases are used."""
        return self.source is None and self.target is None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del env_settings, dotenv_settings, file_secret_settings
        # What came from the file is handed in as init values; the environment stands above it.
        return _Environment(settings_cls), init_settings

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.source is None) != (self.target is None):
            missing = "source" if self.source is None else "target"
            raise ValueError(
                f"[{missing}] url is missing: give both source and target, or neither (demo)"
            )
        if self.source and not self.tables:
            raise ValueError("no [[tables]] are given: name at least one table and its date column")
        if self.demo and self.tables:
            raise ValueError("[[tables]] are given, but no [source] and [target]")
        names = [table.target for table in self.tables]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"two [[tables]] have the one target table {twice[0]}: set target_name"
            )
        return self


SECTIONS: Mapping[str, type[BaseModel]] = {
    "": Settings,
    "source": SourceSettings,
    "target": TargetSettings,
    "tables": TableSettings,
    "run": RunSettings,
    "lock": LockSettings,
    "store": StoreSettings,
}


def split_name(name: str) -> tuple[str | None, str]:
    """Schema and table in `name`: a dot separates them unless quoted (`sales."my.table"`).

    Raises ValueError for any other text.
    """
    found = re.fullmatch(rf"(?:({NAME})\.)?({NAME})", name)
    if found is None:
        raise ValueError(f"{name!r} is not table or schema.table")
    schema, table = found.groups()
    return (_unquoted(schema) if schema else None), _unquoted(table)


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def load(path: Path | None = None) -> Settings:
    """Read `path`, else what `BATCH_SYNC_CONFIG` names, else `batch_sync.toml` where it exists.

    Raises SettingsError naming the setting, what was given, what is allowed, and an example.
    """
    given = path or (Path(named) if (named := os.environ.get(PREFIX + "CONFIG")) else None)
    file = given or Path(FILE_NAME)
    values = _read_file(file) if given or file.exists() else {}
    _refuse_unknown_variables()
    try:
        settings = _with_absolute_paths(Settings(**values), base=file.resolve().parent)
    except UnreadableVariable as error:
        raise SettingsError(
            N_("An environment variable cannot be read: {reason}"),
            hint=N_("Lists are written as JSON: {example}"),
            reason=str(error),
            example='BATCH_SYNC_TABLES=[{"name": "orders", "date_column": "day"}]',
        ) from None
    except ValidationError as error:
        raise worded(error, SECTIONS) from None
    settings._file = file.resolve() if values else None  # noqa: SLF001 - no setting of its own
    return settings


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            N_("The settings file {place} cannot be read: {reason}"),
            hint=N_("`python -m sync init` writes a commented example."),
            place=str(file),
            reason=str(error),
        ) from None


def _refuse_unknown_variables() -> None:
    # pydantic-settings passes over what it does not know; a misspelt variable must not be lost in
    # silence.
    for name in os.environ:
        if name.startswith(PREFIX):
            first = name.removeprefix(PREFIX).split("__")[0].removesuffix("_FILE")
            if first not in NOT_SETTINGS and first.lower() not in Settings.model_fields:
                allowed = ", ".join(
                    sorted(PREFIX + field.upper() for field in Settings.model_fields)
                )
                raise SettingsError(
                    N_("Environment variable {setting} means no setting; allowed are {allowed}."),
                    hint=N_("Two underscores stand between levels: {example}"),
                    setting=name,
                    allowed=allowed,
                    example="BATCH_SYNC_RUN__GROUP_ROWS=50000",
                )


def _with_absolute_paths(settings: Settings, *, base: Path) -> Settings:
    """`settings` with relative paths made relative to the settings file's folder."""
    changed: dict[str, Any] = {"state_dir": base / settings.state_dir.expanduser()}
    if settings.source:
        changed["source"] = settings.source.model_copy(
            update={"url": _absolute(settings.source.url, base)}
        )
    if settings.target:
        changed["target"] = settings.target.model_copy(
            update={"url": _absolute(settings.target.url, base)}
        )
    if text := settings.store.url.get_secret_value():
        changed["store"] = StoreSettings(url=_absolute(SecretStr(text), base))
    return settings.model_copy(update=changed)


def _absolute(secret: SecretStr, base: Path) -> SecretStr:
    url = normalized_url(secret.get_secret_value())
    if url.drivername == "sqlite" and url.database:
        url = url.set(database=str(base / Path(url.database).expanduser()))
    return SecretStr(url.render_as_string(hide_password=False))
