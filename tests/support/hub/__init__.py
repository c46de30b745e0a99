"""Hubs, gateways, queues and providers for the tests."""
