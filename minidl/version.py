"""The version of minidl, in a file of its own so that the build reads it without importing the engine."""

__version__ = "0.1.0"
