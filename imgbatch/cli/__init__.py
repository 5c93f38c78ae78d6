"""The command line. Click is loaded only when a command runs."""
