"""`ember doctor`: the checks, and the command that runs them."""
