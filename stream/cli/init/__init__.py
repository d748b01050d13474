"""`ember init`: a look at a topic or a file, and the settings that fit it."""
