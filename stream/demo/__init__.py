"""The demo: a simulated fleet, faults put into it, and what is caught."""
