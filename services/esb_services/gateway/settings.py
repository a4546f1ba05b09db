"""What the gateway is told by its environment variables, read once into a frozen record."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from esb_services.variables import SettingError, Variables

MIN_JWT_KEY_CHARACTERS = 32


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
            SettingError: a variable is missing or malformed.
        """
        read = _Variables(environ)
        settings = cls(
            project=read.text("ESB_PROJECT", "the compose project's name, such as esb-e2e-local"),
            bind_address=read.text("BIND_ADDRESS", "an IP address to listen on", "0.0.0.0"),  # noqa: S104 - in a container
            log_level=read.log_level(),
            https_port=read.port("GATEWAY_HTTPS_PORT", 8443),
            http_port=read.port("GATEWAY_HTTP_PORT", 8080),
            tls_cert_file=read.file("TLS_CERT_FILE"),
            tls_key_file=read.file("TLS_KEY_FILE"),
            config_dir=Path(read.text("CONFIG_DIR", "the path of the folder that an apply fills")),
            agent_address=read.address("AGENT_ADDRESS"),
            agent_ca_file=read.file("AGENT_CA_FILE"),
            agent_client_cert_file=read.file("AGENT_CLIENT_CERT_FILE"),
            agent_client_key_file=read.file("AGENT_CLIENT_KEY_FILE"),
            auth_user=read.text("AUTH_USER", "the user who may log in"),
            auth_pass=read.text("AUTH_PASS", "that user's password"),
            api_key=read.text("X_API_KEY", "the key that a login must carry"),
            jwt_secret_key=read.jwt_key("JWT_SECRET_KEY"),
            auth_endpoint_path=read.path("AUTH_ENDPOINT_PATH", "/user/auth/v1"),
            default_min_capacity=read.integer("DEFAULT_MIN_CAPACITY", 0),
            default_max_capacity=read.integer("DEFAULT_MAX_CAPACITY", 4, low=1),
            acquire_timeout=read.seconds("POOL_ACQUIRE_TIMEOUT", 10),
            idle_timeout=read.seconds("GATEWAY_IDLE_TIMEOUT_SECONDS", 300),
            orphan_grace_period=read.seconds("ORPHAN_GRACE_PERIOD_SECONDS", 60),
            breaker_threshold=read.integer("CIRCUIT_BREAKER_THRESHOLD", 5, low=1),
            breaker_recovery_timeout=read.seconds("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", 30),
        )
        least, most = settings.default_min_capacity, settings.default_max_capacity
        if least > most:
            raise SettingError("DEFAULT_MIN_CAPACITY", str(least), f"at most DEFAULT_MAX_CAPACITY, {most}")
        return settings


class _Variables(Variables):
    """The forms of variables that only the gateway has."""

    def seconds(self, name: str, default: float) -> float:
        expected = "a number of seconds, 0 or more"
        text = self.text(name, expected, str(default))
        try:
            value = float(text)
        except ValueError:
            raise SettingError(name, text, expected) from None
        if not 0 <= value < float("inf"):
            raise SettingError(name, text, expected)
        return value

    def address(self, name: str) -> str:
        expected = "host:port, such as agent:50051"
        value = self.text(name, expected)
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal():
            raise SettingError(name, value, expected)
        return value

    def path(self, name: str, default: str) -> str:
        expected = "a path that starts with /"
        value = self.text(name, expected, default)
        if not value.startswith("/"):
            raise SettingError(name, value, expected)
        return value

    def jwt_key(self, name: str) -> str:
        expected = f"a secret of at least {MIN_JWT_KEY_CHARACTERS} characters"
        value = self.text(name, expected)
        if len(value) < MIN_JWT_KEY_CHARACTERS:
            # Its length, not the secret itself.
            raise SettingError(name, f"{len(value)} characters", expected)
        return value
