"""Applies committed artifacts: `artifact.yml` to a configuration folder."""
