"""Carrying out jobs: from the plan to finished files and the report."""
