"""The pipeline's maths: features, liquid networks, RBM, decision. Knows nothing of Kafka."""
