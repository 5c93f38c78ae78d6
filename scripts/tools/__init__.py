"""Developer tools: `scripts/tool NAME` runs one."""
