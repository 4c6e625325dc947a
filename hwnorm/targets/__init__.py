"""Technologies: what cells cost there, as data files, and the cost of a datapath."""
