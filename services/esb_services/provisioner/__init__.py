"""The provisioner: creates the tables and buckets of an applied config, once, and again without harm."""
