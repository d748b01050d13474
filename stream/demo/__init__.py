"""Demo: a simulated fleet with injected faults, and the evaluation of the alarms."""
