"""The edge serverless platform under test: gateway, agent, provisioner, function runtime and stores."""

__version__ = "0.1.0"
