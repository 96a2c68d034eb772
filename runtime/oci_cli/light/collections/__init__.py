"""Stands in for collections, of which a call uses the abstract classes only."""

from borrow import lender

__getattr__ = lender("collections")
