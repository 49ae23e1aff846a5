"""The producer chat: questions about the broadcast, their answers, and plans of commands."""
