"""The arithmetic of docs/scaling.md: what 100 million rows would cost, from the rates in the results.

Nothing here is measured at that size. Every line shows its formula with the numbers put in; `tables.py` writes them.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from righttime.arrangement.candidates import AHEAD
from righttime.neighbours.nominate import NOMINEE_BYTES, affordable
from righttime.neighbours.shards import part_of
from righttime.planning.stages import EMBEDDED_BYTES

POOL, TARGET, DIMENSIONS = 100_000_000, 10_000, 384
BUDGET = 1_000_000
NODES, CORES = 64, 32
GPUS, GPU_RATE = 8, 10e12
"""Multiplications, with their additions, a second of one GPU in float32: an assumption, a third of what the data
sheet of an H100 SXM gives (67 TFLOP/s)."""
NETWORK, PCIE, DISK = 1.25e9, 12e9, 1e9
"""Bytes a second: 10 Gbit/s Ethernet, PCIe 4 as it is seen in practice, one NVMe disk. Assumptions."""
PER_NOMINEE, SORTED = 8, 64
"""Bytes of a nominee on the way (row and value), and at the peak of sorting; of one that is asked for the search allows
`NOMINEE_BYTES`, since there may be more, and old lists still exist."""
_AT_A_TIME = 1 << 14
"""Rows that the driver looks at together (`righttime.similarity.shared`)."""
MEMORY = 1 << 30

Row = list[str]


def _table(heads: list[str], rows: list[Row]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _largest(results: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The largest clustered pool of arrange.json, and its rows by budget."""
    pool = max(results["arrange"]["pools"], key=lambda pool: int(pool["pool"]))
    return pool, sorted(pool["rows"], key=lambda row: int(row["budget"]))


def rates_of(results: dict[str, Any]) -> dict[str, float]:
    """Rates of one core, from the largest pool: multiplications, normalised rows and rows taken, a second each."""
    pool, rows = _largest(results)
    cores = results["arrange"]["made_on"]["blas"]["threads"]
    size = pool["pool"] * pool["target"] * pool["dimensions"]
    floor = min(min(row["seconds"]["floor"]) for row in rows)
    first, last = rows[0], rows[-1]
    one = median(first["seconds"]["rounds"])
    every = median(last["seconds"]["rounds"])
    around = median(first["seconds"]["whole"]) - one
    return {
        "floor": size / floor / cores,
        "pass": size / one / cores,
        "rows_taken": (last["budget"] - first["budget"]) / max(every - one, 1e-9),
        "normalised": pool["pool"] / max(around, 1e-9),
        "cores": cores,
    }


def rates(results: dict[str, Any]) -> str:
    """The rates, with what they were taken from."""
    pool, rows = _largest(results)
    found = rates_of(results)
    what = f"{pool['pool']:,} × {pool['target']:,} × {pool['dimensions']}"
    first, last = rows[0], rows[-1]
    one, call = (median(row["seconds"][name]) for row, name in ((first, "rounds"), (first, "whole")))
    cores = found["cores"]
    lines = [
        ["the floor, one core", f"{what} ÷ {cores} threads ÷ shortest time", f"{found['floor'] / 1e9:,.1f} G/s"],
        [
            f"`tma_rounds`, budget {first['budget']:,}, one core",
            f"{what} ÷ {cores} threads ÷ {one:.2f} s",
            f"{found['pass'] / 1e9:,.1f} G/s",
        ],
        [
            "rows taken a second, refills included",
            f"({last['budget']:,} − {first['budget']:,}) ÷ ({median(last['seconds']['rounds']):.1f} − "
            f"{median(first['seconds']['rounds']):.1f} s)",
            f"{found['rows_taken']:,.0f} rows/s",
        ],
        [
            "rows checked and normalised a second, on one thread",
            f"{pool['pool']:,} ÷ ({call:.2f} − {one:.2f} s)",
            f"{found['normalised']:,.0f} rows/s",
        ],
    ]
    if "embedding" in results:
        part = results["embedding"]["rates"]
        for way in part["ways"]:
            lines.append(
                [
                    f"embedding, {way['way']}",
                    f"`embedding.json`, {part['rows']} texts",
                    f"{way['rows_per_s']:.1f} rows/s",
                ]
            )
    return _table(["what", "from", "rate"], lines)


def one_pass(results: dict[str, Any]) -> str:
    """Time of each stage on 64 CPU nodes and on 8 GPUs."""
    found = rates_of(results)
    work = POOL * TARGET * DIMENSIONS
    vectors = 4 * POOL * DIMENSIONS
    cpu = work / (found["pass"] * NODES * CORES)
    gpu = work / (GPU_RATE * GPUS)
    rows = [
        [
            "read the vectors once",
            f"{vectors / 1e9:.1f} GB ÷ {NODES} ÷ {DISK / 1e9:.0f} GB/s = {vectors / NODES / DISK:.1f} s",
            f"{vectors / 1e9:.1f} GB ÷ {GPUS} ÷ {PCIE / 1e9:.0f} GB/s = {vectors / GPUS / PCIE:.1f} s (PCIe, assumed)",
        ],
        [
            "one pass of products, thresholds included",
            f"{work:.2e} ÷ ({found['pass'] / 1e9:.1f} G/s × {NODES * CORES:,} cores) = {cpu:.1f} s",
            f"{work:.2e} ÷ ({GPU_RATE / 1e12:.0f} T/s assumed × {GPUS}) = {gpu:.1f} s **(not measured)**",
        ],
        [
            f"rounds up to {BUDGET:,} rows, on the driver",
            f"{BUDGET:,} ÷ {found['rows_taken']:,.0f} rows/s = {BUDGET / found['rows_taken']:.0f} s",
            "the same",
        ],
        [
            "rounds of the whole pool, on the driver",
            f"{POOL:,} ÷ {found['rows_taken']:,.0f} rows/s = {POOL / found['rows_taken'] / 3600:.1f} h",
            "the same",
        ],
        [
            "the vectors' fingerprint, on the driver",
            f"{vectors / 1e9:.1f} GB ÷ {DISK / 1e9:.0f} GB/s = {vectors / DISK:.0f} s to read, and "
            f"{POOL:,} ÷ {found['normalised']:,.0f} rows/s = {POOL / found['normalised']:.0f} s to check and normalise",
            "the same",
        ],
        [
            f"where quality falls, on the driver, if it has {CORES} cores",
            f"read once more, {vectors / DISK:.0f} s, and {work:.2e} ÷ ({found['floor'] / 1e9:.1f} G/s × {CORES}) = "
            f"{work / (found['floor'] * CORES):.0f} s",
            "the same",
        ],
    ]
    return _table(["stage", f"{NODES} nodes of {CORES} cores", f"{GPUS} GPUs"], rows)


def _part(wanted: int) -> int:
    """How many a shard is asked to nominate: its part of what fits in memory, and more."""
    return part_of(affordable(wanted, MEMORY, TARGET), NODES)


def _measured(results: dict[str, Any], way: str) -> str:
    """What the driver and the object store took of the pool of ray_nodes.json, on three nodes."""
    measured = results["ray_nodes"]
    rows = [row for row in measured["jobs"][0]["ray"] if row["way"] == way and "object_store_mib" in row]
    row = max(rows, key=lambda row: int(row["nodes"]))
    peak = max(run["driver_anonymous_mib"] for run in row["runs"])
    return (
        f"measured with {4 * measured['pool'] * DIMENSIONS / 2**20:.0f} MiB: {peak:.0f} MiB of anonymous memory, "
        f"{row['object_store_mib']:.0f} MiB in the object store"
    )


def _embedded(results: dict[str, Any]) -> str:
    """What the driver took of pools that a cluster embedded, by the size of their vectors."""
    measured = results["ray_embedded"]
    taken = " and ".join(
        f"{row['ray']['anonymous_mib']:.0f} MiB where their vectors are "
        f"{4 * measured['pool'] * row['dimensions'] / 2**20:.0f} MiB"
        for row in measured["rows"]
    )
    rows = f"{measured['pool']:,} rows of {measured['characters']:,} characters"
    return f"measured with {rows}: anonymous memory of {taken}"


def limits(results: dict[str, Any]) -> str:
    """Bytes of each thing that grows, and where they must fit."""
    vectors = 4 * POOL * DIMENSIONS
    some, every = (AHEAD * -(-budget // TARGET) for budget in (BUDGET, POOL))
    nominees, all_nominees = (2 * _part(wanted) * NODES * TARGET for wanted in (some, every))
    most = MEMORY // (NOMINEE_BYTES * TARGET)
    covered = most // AHEAD * TARGET
    rows = [
        [
            "vectors, float32",
            f"{POOL:,} × {DIMENSIONS} × 4 = {vectors / 1e9:.1f} GB",
            f"{vectors / NODES / 1e9:.1f} GB a node, {vectors / GPUS / 1e9:.1f} GB a GPU: fits",
        ],
        [
            "on the driver, where each shard reads its own rows",
            f"{_measured(results, 'read by each')}; {_AT_A_TIME:,} rows at a time: "
            f"{4 * _AT_A_TIME * DIMENSIONS / 1e6:.0f} MB",
            f"fits; where rows are left out, 8 B for each of the others: {8 * POOL / 1e9:.1f} GB",
        ],
        [
            "on the driver, where a model embeds on the cluster",
            _embedded(results),
            f"fits; a key and a few numbers for each row, {EMBEDDED_BYTES} B: {EMBEDDED_BYTES * POOL / 1e9:.1f} GB",
        ],
        [
            "on disk, where a model embeds on the cluster",
            f"the cache, {vectors / 1e9:.1f} GB, and the file that shards read, as much again; while that is made, the "
            f"same once or twice more: {3 * vectors / 1e9:.0f} to {4 * vectors / 1e9:.0f} GB",
            f"written by the driver: {vectors / 1e9:.1f} GB ÷ {DISK / 1e9:.0f} GB/s = {vectors / DISK:.0f} s each time",
        ],
        [
            "on the driver, where it hands them out",
            f"{_measured(results, 'handed out')}; the array, a normalised copy, and all shards in the object store: "
            f"3 × {vectors / 1e9:.1f} GB = {3 * vectors / 1e9:.0f} GB",
            "**breaks first**",
        ],
        [
            "reading them over the one network card of a file server, or handing them out over that of the driver",
            f"{vectors / 1e9:.1f} GB ÷ {NETWORK / 1e9:.2f} GB/s = {vectors / NETWORK:.0f} s",
            "longer than the pass itself; once a run",
        ],
        [
            f"lists on their way to the driver, {BUDGET:,} rows",
            f"{some:,} wanted, so up to 2 × {_part(some)} from each of {NODES} shards for each target row: "
            f"{nominees / 1e6:.0f} M × {PER_NOMINEE} B = {nominees * PER_NOMINEE / 1e9:.2f} GB",
            f"{nominees * PER_NOMINEE / NETWORK:.1f} s over one network card",
        ],
        [
            "merging them",
            f"{nominees / 1e6:.0f} M × {SORTED} B = {nominees * SORTED / 1e9:.1f} GB",
            f"at most about twice the {MEMORY >> 30} GiB of `--memory`",
        ],
        [
            "the same for the whole pool",
            f"{every:,} wanted, held to what fits: up to 2 × {_part(every):,} from each shard, "
            f"{all_nominees / 1e6:,.0f} M × {SORTED} B = {all_nominees * SORTED / 1e9:.1f} GB",
            "the same, in many passes:",
        ],
        [
            f"passes for the whole pool where lists are held to {MEMORY >> 30} GiB",
            f"{most:,} nominees a target row, {AHEAD} for each row it is to take: {covered / 1e6:.1f} M rows a pass, "
            f"{POOL / covered:.0f} passes",
            "fewer with more `--memory`, in proportion",
        ],
        ["marks of taken rows, a pass", f"{POOL:,} × 1 B = {POOL / 1e9:.1f} GB to the shards", "small"],
        [
            "columns of the result",
            f"32 B a row taken: {32 * BUDGET / 1e6:.0f} MB for {BUDGET:,}, {32 * POOL / 1e9:.1f} GB for all",
            "fits",
        ],
        [
            "rows and texts in the command",
            f"about 1 kB a row as text: {POOL * 1000 / 1e9:.0f} GB",
            "on disk, in the cache folder, and mapped; ids, and keys of rows that are embedded, are the limit",
        ],
    ]
    return _table(["what", "bytes", "and so"], rows)
