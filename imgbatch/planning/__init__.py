"""From sources to jobs: every target is computed and checked before anything is written."""
