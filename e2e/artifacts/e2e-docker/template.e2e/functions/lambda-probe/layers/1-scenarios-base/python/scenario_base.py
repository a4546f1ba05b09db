"""Of the lower layer alone."""

NAME = "base"
