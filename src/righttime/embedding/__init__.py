"""From texts to vectors: models, given vectors, and the cache that survives a kill."""

from righttime.embedding.cache import default_cache
from righttime.embedding.embedder import Embedded, Embedder, embed_texts
from righttime.embedding.given import given_sides, given_vectors
from righttime.embedding.models import DEFAULT_MODEL, SentenceTransformerEmbedder, load_embedder

__all__ = [
    "DEFAULT_MODEL",
    "Embedded",
    "Embedder",
    "SentenceTransformerEmbedder",
    "default_cache",
    "embed_texts",
    "given_sides",
    "given_vectors",
    "load_embedder",
]
