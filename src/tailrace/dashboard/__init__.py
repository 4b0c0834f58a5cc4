"""The node's HTTP surface: the API, the live socket, the tail, and the page that uses them."""
