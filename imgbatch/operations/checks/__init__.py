"""Whether every operation does what it is for, for `imgbatch doctor`."""
