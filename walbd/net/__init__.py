"""How the parts talk to each other: frames, handshake, server, client, conversations (docs/protocol.md)."""
