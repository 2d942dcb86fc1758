"""The training loop and what it checks, writes and resumes from."""
