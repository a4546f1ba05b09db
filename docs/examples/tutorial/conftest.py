"""Seeds the stack once per bring-up, before the first test."""

import subprocess


def pytest_esb_deploy(environment, log):
    """Copy the files of `seeds/` to where the two services look for them."""
    for service in ("web", "stock"):
        container = f"{environment.project}-{service}-1"
        seeds = f"{environment.paths.root}/seeds/{service}/."
        subprocess.run(["docker", "cp", "--quiet", seeds, f"{container}:/srv"], check=True, timeout=30)
        log(f"seeded {service}")
