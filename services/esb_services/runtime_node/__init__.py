"""The node that containerd workers run on: containerd, their network, and their name server."""
