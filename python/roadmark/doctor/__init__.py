"""What this machine and this installation have, what they lack, and how to get it."""
