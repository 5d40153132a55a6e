"""What HTTP providers share: from status to error, retry hints, redaction, the base for OpenAI-like servers."""
