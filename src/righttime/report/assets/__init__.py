"""The page's template, style and scripts, which `righttime.report.html` puts into one file."""
