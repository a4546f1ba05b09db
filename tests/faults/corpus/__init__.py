"""Injected faults as data: each with what the first screen has to say of it."""
