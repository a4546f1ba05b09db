"""A pytest plugin that drives edge serverless environments."""
