"""What the stages of one run are handed: its context, its lock's state, and what an earlier try kept."""
