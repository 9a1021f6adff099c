"""The report page: what was chosen, why, and what it did, in one HTML file that opens from disk.

folders ─ arranged, trials ─▶ sections of blocks, rows as columns, packed texts ─ html ─▶ one file

`make` puts it together; ``assets`` holds the page itself. What the page shows is read from what lies on disk; nothing
is embedded, trained or evaluated for it.
"""

from righttime.report.blocks import Missing
from righttime.report.make import Report, make_report, write_report

__all__ = ["Missing", "Report", "make_report", "write_report"]
