"""Speed of what Roadmark does, beside what a user could pick instead, in one run."""
