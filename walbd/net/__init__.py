"""Frames, handshake, server and client, conversations."""
