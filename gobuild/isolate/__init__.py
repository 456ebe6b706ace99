"""Keeps Go programs apart from what could disturb them: a launch wrapper, a launchd job, an image, a machine."""
