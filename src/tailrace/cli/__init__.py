"""The `tailrace` command: one file a command. Heavy libraries are imported inside the commands, so that help comes at once."""
