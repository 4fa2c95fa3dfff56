"""The running stream: messages in, records out."""
