"""From texts to vectors: models, given vectors, and the cache that survives a kill."""

from righttime.embedding.agreement import Agreement, agreement_on
from righttime.embedding.cache import default_cache
from righttime.embedding.embedder import Embedded, Embedder, embed_texts, plan_batches, uncached
from righttime.embedding.given import given_sides, given_vectors
from righttime.embedding.gradients import GradientEmbedder
from righttime.embedding.hidden_states import HiddenStateEmbedder
from righttime.embedding.int8 import Int8Embedder
from righttime.embedding.models import DEFAULT_MODEL, SentenceTransformerEmbedder, load_embedder
from righttime.embedding.registry import embedder_named
from righttime.embedding.static import StaticEmbedder

__all__ = [
    "DEFAULT_MODEL",
    "Agreement",
    "Embedded",
    "Embedder",
    "GradientEmbedder",
    "HiddenStateEmbedder",
    "Int8Embedder",
    "SentenceTransformerEmbedder",
    "StaticEmbedder",
    "agreement_on",
    "default_cache",
    "embed_texts",
    "embedder_named",
    "given_sides",
    "given_vectors",
    "load_embedder",
    "plan_batches",
    "uncached",
]
