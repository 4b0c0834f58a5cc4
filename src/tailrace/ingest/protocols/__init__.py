"""One file a protocol in which producers speak; each turns a request into decoded lines and an answer."""
