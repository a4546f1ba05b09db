"""Generated messages and stubs of the agent's gRPC API."""
