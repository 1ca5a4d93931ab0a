"""The version, where every module can reach it without importing the package's front door."""

VERSION = "0.1.0"
