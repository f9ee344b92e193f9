"""What a run leaves for people to read: the log, the curves, and the report of the test, as text and as a page.

Read `report.py` first, then `text.py`; `page.py` puts report.html together from `sections.py` and `images.py`.
"""

from minidl.report.facts import Facts, facts_of
from minidl.report.files import write
from minidl.report.report import report

__all__ = ["Facts", "facts_of", "report", "write"]
