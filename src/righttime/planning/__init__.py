"""What an arrangement would take, before it is started: passes, time, memory and disk of each stage."""

from righttime.planning.plan import plan, plan_sizes
from righttime.planning.stages import Stage, peak_of

__all__ = ["Stage", "peak_of", "plan", "plan_sizes"]
