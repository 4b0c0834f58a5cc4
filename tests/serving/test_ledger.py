"""The books of the ledger: carried on epoch by epoch, and the first difference is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tailrace.serving.ledger import booked, carried_on, compared
from tailrace.states.manifest import Book, BookDifference
from tailrace.stream.base import LedgerCounts

COUNTS = st.builds(LedgerCounts, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))


@given(st.lists(COUNTS), st.integers(0, 20))
def test_a_book_is_the_sum_of_its_epochs_however_they_are_cut(epochs: list[LedgerCounts], cut: int) -> None:
    whole = carried_on(Book(), len(epochs), epochs)
    first = carried_on(Book(), min(cut, len(epochs)), epochs[:cut])
    assert carried_on(first, len(epochs), epochs[cut:]) == whole
    assert booked(whole) == sum(epochs, LedgerCounts())


def test_what_batch_misses_is_noted_with_its_epochs() -> None:
    before = Book(epoch=4, stored=100)
    after = carried_on(before, 6, [LedgerCounts(7, 1, 0), LedgerCounts(3, 0, 2)])
    assert compared(after, before, (5, 6), 10) == after
    assert compared(after, before, (5, 6), 9).difference == BookDifference(
        epoch_first=5, epoch_last=6, expected=10, held=9
    )


def test_the_first_difference_stays() -> None:
    before = Book(epoch=4, stored=100)
    wrong = compared(carried_on(before, 5, [LedgerCounts(7)]), before, (5, 5), 9)
    later = compared(carried_on(wrong, 6, [LedgerCounts(1)]), wrong, (6, 6), 0)
    assert later.difference == wrong.difference


def test_a_data_folder_without_books_gets_them_without_a_difference() -> None:
    """An earlier version kept none: its first book covers more epochs than the move that makes it."""
    before = Book()
    after = carried_on(before, 9, [LedgerCounts(5)] * 9)
    assert compared(after, before, (8, 9), 10).difference is None
