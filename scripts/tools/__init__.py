"""Tools for those who change imgbatch: `scripts/tool NAME` runs one."""
