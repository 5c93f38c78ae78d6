"""The command line. Click is loaded only when a command runs."""

COMPLETING = "_IMGBATCH_COMPLETE"
"""The variable in which a shell asks what to complete."""
