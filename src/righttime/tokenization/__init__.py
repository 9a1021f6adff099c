"""Rows as tokens: loading a tokenizer, counting, and which tokens are learnt."""
