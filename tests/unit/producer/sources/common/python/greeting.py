"""A module of a layer."""

GREETING = "common"
