"""The kit of faults: whatever may die, killed for real (`make faults`)."""
