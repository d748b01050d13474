"""State after an assignment: changelogs, local copies, files of evicted rows, start offsets."""
