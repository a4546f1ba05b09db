"""A compose file for who deploys into an environment by hand: what was applied reaches the services.

A run copies the applied configuration into its volume through the engine's API. By hand, the one-shot service
that provisions does so before it begins. Pure.
"""

from pathlib import Path
from typing import Any, Final

import yaml

FILE: Final = "compose.by-hand.yaml"

_APPLIED = "/applied"
# As an applier does: complete configurations side by side, and the link to the current one last.
_PUBLISH = f"""set -eu
to=$CONFIG_DIR
mkdir -p "$to/.generations"
cp -Rf {_APPLIED}/.generations/. "$to/.generations/"
for file in {_APPLIED}/*.yml; do ln -sfn ".current/${{file##*/}}" "$to/${{file##*/}}"; done
ln -sfn "$(readlink {_APPLIED}/.current)" "$to/.current.new"
mv -fT "$to/.current.new" "$to/.current"
exec "$@"
"""


def document(provisioner: str, config: Path) -> str:
    """Return the file's text.

    Args:
        provisioner: the service that provisions; its `CONFIG_DIR` names the configuration's volume inside.
        config: the folder that artifacts are applied to.
    """
    service: dict[str, Any] = {
        # A dollar that Compose shall not fill in is written twice.
        "entrypoint": ["sh", "-c", _PUBLISH.replace("$", "$$"), "publish"],
        "volumes": [{"type": "bind", "source": str(config), "target": _APPLIED, "read_only": True}],
    }
    return yaml.safe_dump({"services": {provisioner: service}}, sort_keys=False)
