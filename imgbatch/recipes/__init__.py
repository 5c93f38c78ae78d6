"""What is made of each source, as options, Python or TOML say it."""
