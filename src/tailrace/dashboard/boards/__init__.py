"""Dashboards as JSON files: what one may say, how it is read and kept, and those that come with Tailrace."""
