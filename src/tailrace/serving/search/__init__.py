"""The search language, and what Explore asks with it: pages of records, histograms, fields, values, differences."""
