"""What is kept: files published whole, the journal of what was made, logs, checksums."""
