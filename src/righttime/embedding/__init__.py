"""From texts to vectors: models, given vectors, and the cache that survives a kill."""

from righttime.embedding.centring import Centring
from righttime.embedding.combined import CombinedEmbedder
from righttime.embedding.embed import embed_texts, plan_batches, uncached
from righttime.embedding.fidelity import Fidelity, fidelity_on
from righttime.embedding.given import given_sides, given_vectors
from righttime.embedding.gradients import GradientEmbedder
from righttime.embedding.hidden_states import HiddenStateEmbedder
from righttime.embedding.int8 import Int8Embedder
from righttime.embedding.models import DEFAULT_MODEL, FULL, SentenceTransformerEmbedder, load_embedder
from righttime.embedding.protocol import Embedded, Embedder
from righttime.embedding.registry import EMBEDDERS, PRECISIONS, embedder_named
from righttime.embedding.static import StaticEmbedder

__all__ = [
    "DEFAULT_MODEL",
    "EMBEDDERS",
    "FULL",
    "PRECISIONS",
    "Centring",
    "CombinedEmbedder",
    "Embedded",
    "Embedder",
    "Fidelity",
    "GradientEmbedder",
    "HiddenStateEmbedder",
    "Int8Embedder",
    "SentenceTransformerEmbedder",
    "StaticEmbedder",
    "embed_texts",
    "embedder_named",
    "fidelity_on",
    "given_sides",
    "given_vectors",
    "load_embedder",
    "plan_batches",
    "uncached",
]
