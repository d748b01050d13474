"""aiokafka's clients as this worker uses them: consumer, producers, admin, requests, security."""
