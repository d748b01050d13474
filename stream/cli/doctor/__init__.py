"""`ember doctor`: checks of cluster, topics, records, model and group."""
