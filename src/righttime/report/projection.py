"""A map: unit vectors of both sides in two dimensions, by libraries, seeded, kept in the cache folder.

UMAP where umap-learn is installed; else scikit-learn's t-SNE, which is slow, of few rows; else its principal
components, which are quick and show less. A map shows who lies near whom, not how far: similarities are never read
off it.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError
from righttime.quiet import quietly
from righttime.store import cache_folder, write_bytes

__all__ = ["PROJECTIONS", "Projection", "project"]

PROJECTIONS = ("auto", "umap", "tsne", "pca")
_SEED, _FIRST, _TSNE_ROWS = 0, 50, 6_000
_NEIGHBOURS, _PERPLEXITY = 15, 30.0


@dataclass(frozen=True, eq=False)
class Projection:
    """A map.

    Attributes:
        points: float32, shape (n, 2), from 0 to 1 along the longer side.
        told: How it was made, in a sentence.
    """

    points: NDArray[np.float32]
    told: str


def project(
    vectors: NDArray[np.float32],
    how: Literal["auto", "umap", "tsne", "pca"] = "auto",
    cache: Path | None = None,
) -> Projection:
    """Lay vectors out in two dimensions.

    Args:
        vectors: float32 unit vectors, shape (n, d).
        how: The method; ``auto`` takes the best that is installed and quick enough.
        cache: Where a map is kept; None takes the user's cache folder.

    Raises:
        SettingsError: If the method's library is not installed.
    """
    method = _method(how, len(vectors))
    told = _TOLD[method] + f" Seed {_SEED}."
    about = f"{method} {_SEED} {_FIRST} {_version(method)} {vectors.shape}".encode()
    digest = hashlib.sha256(about + np.ascontiguousarray(vectors, dtype="<f4").tobytes()).hexdigest()
    kept = (cache or cache_folder()) / f"map-{digest[:24]}.bin"
    if (points := _read(kept, len(vectors))) is None:
        points = _scaled(_laid_out(vectors, method))
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(kept, _checked(points))
    return Projection(points, told)


_TOLD = {
    "umap": f"UMAP of {_NEIGHBOURS} neighbours by cosine, after {_FIRST} principal components.",
    "tsne": f"t-SNE of perplexity {_PERPLEXITY:.0f}, after {_FIRST} principal components.",
    "pca": "The first two principal components; umap-learn (pip install righttime[map]) would show neighbourhoods.",
}


def _method(how: str, n: int) -> str:
    if how not in PROJECTIONS:
        raise SettingsError(f"`projection` must be one of {', '.join(PROJECTIONS)}, got {how!r}.", setting="projection")
    has_umap = find_spec("umap") is not None
    if how == "umap" and not has_umap:
        raise SettingsError(
            "`projection='umap'` needs umap-learn, which is not installed. Hint: pip install righttime[map].",
            setting="projection",
        )
    if n < 8:  # too few for neighbourhoods
        return "pca"
    return how if how != "auto" else "umap" if has_umap else "tsne" if n <= _TSNE_ROWS else "pca"


def _laid_out(vectors: NDArray[np.float32], method: str) -> NDArray[np.float32]:
    from sklearn.decomposition import PCA

    wanted = 2 if method == "pca" else _FIRST
    parts = min(wanted, *vectors.shape)
    first = PCA(parts, svd_solver="covariance_eigh").fit_transform(vectors).astype(np.float32)
    if method == "pca":
        return np.pad(first, ((0, 0), (0, 2 - parts)))
    with warnings.catch_warnings(), quietly():
        warnings.simplefilter("ignore")
        found: Any
        if method == "umap":
            from umap import UMAP

            found = UMAP(n_neighbors=min(_NEIGHBOURS, len(vectors) - 1), metric="cosine", random_state=_SEED)
        else:
            from sklearn.manifold import TSNE

            found = TSNE(2, perplexity=min(_PERPLEXITY, (len(vectors) - 1) / 3), init="pca", random_state=_SEED)
        return np.asarray(found.fit_transform(first), dtype=np.float32)


def _scaled(points: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max()) or 1.0
    centred = (points - (low + high) / 2) / side + 0.5
    scaled: NDArray[np.float32] = centred.clip(0, 1).astype(np.float32)
    return scaled


def _version(method: str) -> str:
    return metadata.version("umap-learn" if method == "umap" else "scikit-learn")


def _checked(points: NDArray[np.float32]) -> bytes:
    data = points.astype("<f4").tobytes()
    return hashlib.sha256(data).digest() + data


def _read(path: Path, n: int) -> NDArray[np.float32] | None:
    """A map that was kept; None where there is none, or one that was changed."""
    try:
        found = path.read_bytes()
    except OSError:
        return None
    if len(found) != 32 + 8 * n or hashlib.sha256(found[32:]).digest() != found[:32]:
        return None
    points: NDArray[np.float32] = np.frombuffer(found[32:], dtype="<f4").reshape(n, 2).astype(np.float32)
    return points
