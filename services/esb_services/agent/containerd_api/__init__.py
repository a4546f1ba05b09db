"""Messages of containerd's gRPC API; see containerd.proto."""
