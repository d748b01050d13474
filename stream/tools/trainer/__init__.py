"""Program of the process that trains: reads the topic, trains, judges and publishes."""
