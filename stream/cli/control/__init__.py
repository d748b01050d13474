"""`ember control`: documents of operators in the control topic."""
