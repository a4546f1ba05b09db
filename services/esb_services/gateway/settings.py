"""What the gateway is told by its environment variables, read once into a frozen record."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MIN_JWT_KEY_CHARACTERS = 32


class SettingsError(ValueError):
    """An environment variable is missing or has a value that the gateway cannot use."""

    def __init__(self, variable: str, expected: str) -> None:
        super().__init__(f"environment variable {variable}: expected {expected}")
        self.variable = variable
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Settings:
    """The gateway's configuration; times are in seconds."""

    project: str
    bind_address: str
    log_level: str
    https_port: int
    http_port: int
    tls_cert_file: Path
    tls_key_file: Path
    config_dir: Path
    agent_address: str
    agent_ca_file: Path
    agent_client_cert_file: Path
    agent_client_key_file: Path
    auth_user: str
    auth_pass: str
    api_key: str
    jwt_secret_key: str
    auth_endpoint_path: str
    default_min_capacity: int
    default_max_capacity: int
    acquire_timeout: float
    idle_timeout: float
    orphan_grace_period: float
    breaker_threshold: int
    breaker_recovery_timeout: float

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Return the settings in `environ`.

        Raises:
            SettingsError: a variable is missing or malformed; its value is never shown.
        """
        read = _Reader(environ)
        settings = cls(
            project=read.text("ESB_PROJECT"),
            bind_address=read.text("BIND_ADDRESS", "0.0.0.0"),  # noqa: S104 the container's own namespace
            log_level=read.log_level("LOG_LEVEL", "INFO"),
            https_port=read.port("GATEWAY_HTTPS_PORT", 8443),
            http_port=read.port("GATEWAY_HTTP_PORT", 8080),
            tls_cert_file=read.file("TLS_CERT_FILE"),
            tls_key_file=read.file("TLS_KEY_FILE"),
            config_dir=Path(read.text("CONFIG_DIR")),
            agent_address=read.address("AGENT_ADDRESS"),
            agent_ca_file=read.file("AGENT_CA_FILE"),
            agent_client_cert_file=read.file("AGENT_CLIENT_CERT_FILE"),
            agent_client_key_file=read.file("AGENT_CLIENT_KEY_FILE"),
            auth_user=read.text("AUTH_USER"),
            auth_pass=read.text("AUTH_PASS"),
            api_key=read.text("X_API_KEY"),
            jwt_secret_key=read.text("JWT_SECRET_KEY"),
            auth_endpoint_path=read.text("AUTH_ENDPOINT_PATH", "/user/auth/v1"),
            default_min_capacity=read.integer("DEFAULT_MIN_CAPACITY", 0, least=0),
            default_max_capacity=read.integer("DEFAULT_MAX_CAPACITY", 4, least=1),
            acquire_timeout=read.seconds("POOL_ACQUIRE_TIMEOUT", 10.0),
            idle_timeout=read.seconds("GATEWAY_IDLE_TIMEOUT_SECONDS", 300.0),
            orphan_grace_period=read.seconds("ORPHAN_GRACE_PERIOD_SECONDS", 60.0),
            breaker_threshold=read.integer("CIRCUIT_BREAKER_THRESHOLD", 5, least=1),
            breaker_recovery_timeout=read.seconds("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", 30.0),
        )
        if len(settings.jwt_secret_key) < MIN_JWT_KEY_CHARACTERS:
            raise SettingsError("JWT_SECRET_KEY", f"at least {MIN_JWT_KEY_CHARACTERS} characters")
        if not settings.auth_endpoint_path.startswith("/"):
            raise SettingsError("AUTH_ENDPOINT_PATH", "a path that starts with /")
        if settings.default_min_capacity > settings.default_max_capacity:
            raise SettingsError(
                "DEFAULT_MIN_CAPACITY", f"at most DEFAULT_MAX_CAPACITY ({settings.default_max_capacity})"
            )
        return settings


class _Reader:
    """Typed access to environment variables; an empty value counts as missing."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environ.get(name, "").strip() or default
        if value is None:
            raise SettingsError(name, "a value, it is not set")
        return value

    def integer(self, name: str, default: int, *, least: int, most: int | None = None) -> int:
        expected = f"an integer of at least {least}" + (f" and at most {most}" if most is not None else "")
        try:
            value = int(self.text(name, str(default)))
        except ValueError:
            raise SettingsError(name, expected) from None
        if value < least or (most is not None and value > most):
            raise SettingsError(name, expected)
        return value

    def port(self, name: str, default: int) -> int:
        return self.integer(name, default, least=1, most=65535)

    def seconds(self, name: str, default: float) -> float:
        expected = "a number of seconds, not negative"
        try:
            value = float(self.text(name, str(default)))
        except ValueError:
            raise SettingsError(name, expected) from None
        if not 0 <= value < float("inf"):
            raise SettingsError(name, expected)
        return value

    def file(self, name: str) -> Path:
        path = Path(self.text(name))
        if not path.is_file():
            raise SettingsError(name, f"the path of a file, {path} is none")
        return path

    def address(self, name: str) -> str:
        value = self.text(name)
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal():
            raise SettingsError(name, "host:port, such as agent:50051")
        return value

    def log_level(self, name: str, default: str) -> str:
        levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        value = self.text(name, default).upper()
        if value not in levels:
            raise SettingsError(name, "one of " + ", ".join(levels))
        return value
