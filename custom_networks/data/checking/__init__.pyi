from .findings import Finding as Finding
from .findings import FindingKind as FindingKind
from .quick import check_items as check_items
