"""The claims of the paper that an order lowers the loss more than another, each tested on the runs of one experiment.

A claim names the two orders before the runs: it is tested by the paired differences of their areas under the loss curve
(t over replicates), with Holm's correction over the claims of its experiment. So this is one family more for each
experiment, beside its comparisons with random rows. A claim *agrees* where the difference has its sign at 5%, *does
not agree* where it has the other, and else cannot be seen with so many replicates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from collected import Collected
from righttime.analysis import Analysis, Difference, area_differences, holm
from tables import grid

__all__ = ["CLAIMS", "Claim", "claims"]


@dataclass(frozen=True)
class Claim:
    """One order leads to a lower loss than another.

    Attributes:
        experiment: The experiment whose runs tell.
        lower: The order that the claim says is lower.
        higher: The other.
        words: The claim.
    """

    experiment: str
    lower: str
    higher: str
    words: str


CLAIMS = (
    Claim("tma", "tma", "tma-farthest", "TMA: nearest rounds first (MIN) below farthest first (MAX)"),
    Claim("tma", "tma", "tma-rt", "TMA: MIN below RT"),
    Claim("tma", "tma-nft", "tma-rt", "TMA: NFT below RT, the same rows shuffled"),
    Claim("tma", "tma-rt", "tma-fft", "TMA: RT below FFT, the same rows reversed"),
    Claim("tma", "tma-fft", "tma-farthest", "TMA: FFT below MAX"),
    Claim("wsd", "nearest", "nearest-shuffled", "WSD: NFT below RT, the same rows shuffled"),
    Claim("wsd", "nearest-shuffled", "nearest-reversed", "WSD: RT below FFT, the same rows reversed"),
    Claim("early", "random", "cluster", "Random order generalizes earlier than task after task (Cluster)"),
    Claim("early", "round-robin", "cluster", "Round-robin generalizes earlier than Cluster"),
    Claim("granularity", "nearest", "coarse", "Fine-grained order below coarse-grained"),
)


def claims(found: Mapping[str, Collected]) -> str:
    """Every claim, and what the runs say of it."""
    tested = {claim: _tested(claim, found) for claim in CLAIMS}
    adjusted = _adjusted(tested)
    rows = []
    for claim, one in tested.items():
        told = "-"
        if one is not None:
            told = f"{one.mean:+.3f}" + (f" [{one.interval[0]:+.3f}, {one.interval[1]:+.3f}]" if one.interval else "")
        p = adjusted.get(claim)
        rows.append([claim.words, f"`{claim.experiment}`", told, "-" if p is None else f"{p:.3f}", _says(one, p)])
    heads = [
        "claim",
        "experiment",
        "difference in area, lower minus higher [95%]",
        "p, Holm over the experiment's claims",
    ]
    return grid([*heads, "our runs"], rows)


def _tested(claim: Claim, found: Mapping[str, Collected]) -> Difference | None:
    """The paired difference; None where the runs are not there."""
    one = found.get(claim.experiment)
    if one is None or one.analysis is None:
        return None
    areas = {name: _areas(one.analysis, name) for name in (claim.higher, claim.lower)}
    return area_differences(areas, claim.higher)[0] if all(areas.values()) else None


def _areas(analysis: Analysis, order: str) -> list[float]:
    return [run.area for run in analysis.runs if run.order == order]


def _adjusted(tested: Mapping[Claim, Difference | None]) -> dict[Claim, float]:
    """p after Holm's correction over the claims of each experiment."""
    made: dict[Claim, float] = {}
    for experiment in {claim.experiment for claim in tested}:
        of_it = {c: one.p for c, one in tested.items() if c.experiment == experiment and one and one.p is not None}
        made |= dict(zip(of_it, holm(list(of_it.values())), strict=True))
    return made


def _says(one: Difference | None, p: float | None) -> str:
    if one is None:
        return "not run"
    if p is None:
        return f"no verdict with {one.replicates} replicates"
    if p <= 0.05:
        return "**agree**" if one.mean < 0 else "**do not agree**"
    needed = f"; about {one.needed:,} would show a difference of this size" if one.needed else ""
    return f"cannot be seen with {one.replicates} replicates{needed}"
