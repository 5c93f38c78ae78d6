"""Runs a revision and the working tree over the same pictures, and reports what differs.

`recipes` is the table of what is run, `sources` has the pictures, `sides` runs the two, `outcomes`
reads what they made, `differences` and `pixels` compare it, `table` prints it.
"""
