"""The command line. Click is only loaded when the command really runs."""
