"""Where a run runs: in a thread of the process that started it."""
