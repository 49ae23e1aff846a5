"""The producer's ear: a person talks to the producer about the broadcast."""
