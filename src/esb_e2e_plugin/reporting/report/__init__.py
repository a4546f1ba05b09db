"""The report of a run: one record, built from events and test reports, and what is made of it.

`merge.merge(paths: Sequence[Path], out: Path) -> Report` makes one report of several, such as those of CI
shards; inputs and output are `.json` or `.html` files, mixed as one likes. Its errors are `UserError`.
"""
