from .findings import Finding as Finding
from .findings import Kind as Kind
from .quick import check_items as check_items
