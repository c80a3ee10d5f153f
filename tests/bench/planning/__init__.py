"""What planning takes: of whole manifests, and with a limit."""
