"""What must not happen twice, remembered for all workers and across restarts."""
