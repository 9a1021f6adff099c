"""Arrange vectors of your own: no files, no texts, no embedding model.

python examples/arrange_vectors.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np

import righttime

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "examples_out")
folder.mkdir(parents=True, exist_ok=True)

# One vector for each row, of any real dtype and length: they are widened to float32 and normalised.
random = np.random.default_rng(0)
pool_vectors = random.standard_normal((1_000, 64)) + 0.5
target_vectors = random.standard_normal((20, 64)) + 0.5

arrangement = righttime.arrange_embeddings(pool_vectors, target_vectors, method="nearest", distance="wsd", budget=100)

print("pool rows in order:", arrangement.order[:10].tolist())
for place in arrangement.to_table().slice(0, 3).to_pylist():
    print(f"row {place['row']}: most similar to target row {place['picked_by_row']}, {place['similarity']:.3f}")

arrangement.save(folder / "vectors.parquet")
again = righttime.Arrangement.load(folder / "vectors.parquet")
print(f"saved and loaded {len(again)} of {again.n_pool} rows: {folder / 'vectors.parquet'}")
