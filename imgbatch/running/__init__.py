"""Jobs are carried out: from the plan to finished files and the report."""
