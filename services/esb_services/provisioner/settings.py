"""What the provisioner is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from esb_services.variables import Variables


@dataclass(frozen=True)
class Settings:
    """The applied config, the two stores, and the credentials for them."""

    config_dir: Path
    s3_url: str
    dynamodb_url: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    log_level: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings of the provisioner.

        Raises:
            SettingError: a variable is missing or wrong.
        """
        variables = Variables(environ)
        return cls(
            config_dir=variables.folder("CONFIG_DIR"),
            s3_url=variables.url("AWS_ENDPOINT_URL_S3"),
            dynamodb_url=variables.url("AWS_ENDPOINT_URL_DYNAMODB"),
            region=variables.text("AWS_REGION", "a region, such as us-east-1"),
            access_key=variables.text("AWS_ACCESS_KEY_ID", "the access key of the stores"),
            secret_key=variables.text("AWS_SECRET_ACCESS_KEY", "the secret key of the stores"),
            log_level=variables.log_level(),
        )
