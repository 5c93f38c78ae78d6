"""What scripts/bench is made of: the peers, how they are run, measured and checked."""
