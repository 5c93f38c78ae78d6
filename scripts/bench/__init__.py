"""Benchmarks: imgbatch against its peers (`scripts/tool bench`), and parts of it alone.

`command` is the comparison, row by row; `delivery`, `engine` and `operations` are separate programs
(`scripts/tool bench.delivery`). The peers' programs run as files, in interpreters that need not
know this package.
"""
