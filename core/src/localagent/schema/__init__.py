"""The common schema: event streams, and the documents of the OpenAI API: decode, join, split."""
