"""Trees grown for a target: a partition made for prediction."""
