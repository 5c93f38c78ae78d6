"""Runs a revision and the working tree over the same pictures, and tells what differs.

`recipes` is the table of what is run, `sources` has the pictures.
"""
