"""The `esb` command: isolated environments by hand, on the lifecycle that the pytest plugin uses."""
