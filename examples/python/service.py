"""A Python service that logs to a node: by `logging`, and record by record. Run it with the node's URL."""

import logging
import sys
from time import perf_counter

from tailrace import LogHandler, Producer

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
producer = Producer(url, service="shop", fields={"version": "1.4"}, when_full="drop_oldest")
logging.basicConfig(level=logging.INFO, handlers=[LogHandler(producer=producer), logging.StreamHandler()])
log = logging.getLogger("shop.pay")


def pay(card: str) -> int:
    began = perf_counter()
    status = 402 if card.startswith("0") else 200
    if status != 200:
        log.warning("card %s refused", card, extra={"endpoint": "/pay", "status": status})
    producer.send(endpoint="/pay", method="POST", status=status, response_ms=round((perf_counter() - began) * 1000, 3))
    return status


for number in ("1234", "0000"):
    pay(number)
try:
    pay(None)  # type: ignore[arg-type]
except AttributeError:
    log.exception("payment failed")
counts = producer.close()
print(f"{counts.acked} records acknowledged, {counts.failed + counts.dropped} not", file=sys.stderr)
sys.exit(counts.failed + counts.dropped > 0)
