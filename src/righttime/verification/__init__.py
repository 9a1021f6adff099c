"""What was written and what was trained, held against the data and the plan."""
