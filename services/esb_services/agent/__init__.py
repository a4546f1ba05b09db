"""The agent: starts, lists, measures, pauses and removes function workers, and invokes them."""
