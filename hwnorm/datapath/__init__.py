"""Datapaths: expressions lowered to fixed-point cells, scheduled for a clock, and certified."""
