"""Re-keying: input topics are read, and written to `<group>-rekey` by the stream key."""
