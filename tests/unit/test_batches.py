from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.batches import BATCH_WEIGHT, Work, cut, within
from tasks.domain.cursor import Position, Seen

works_of = st.lists(st.integers(0, 100), max_size=30).map(
    lambda sizes: [Work(Seen(f"f{n}", size, n, n), (Position("p"),)) for n, size in enumerate(sizes)]
)


@given(works_of, st.integers(1, 120))
def test_batches_hold_every_work_once_in_order_and_keep_their_size(works, most):
    batches = list(cut(works, most_bytes=most))
    assert [work for batch in batches for work in batch.works] == works
    assert all(batch.bytes <= most or len(batch.works) == 1 for batch in batches)
    assert all(batch.bytes == sum(work.new_bytes for work in batch.works) for batch in batches)


@given(works_of, st.integers(0, 500))
def test_a_budget_takes_as_many_as_fit_and_always_one(works, limit):
    count = within(works, limit)
    assert count == min(len(works), 1) or sum(work.new_bytes for work in works[:count]) <= limit
    assert count == len(works) or count == 0 or sum(work.new_bytes for work in works[: count + 1]) > limit


def test_without_a_budget_everything_goes():
    works = [Work(Seen("f", 10**12, 0, 0), (Position("p"),))] * 3
    assert within(works, None) == 3


def test_long_names_make_smaller_batches():
    works = [Work(Seen("x" * 4000, 1, 0, 0), (Position("p"),))] * 100
    assert all(sum(work.weight for work in batch.works) <= BATCH_WEIGHT for batch in cut(works))
    assert len(list(cut(works))) > 1


def test_what_grew_counts_with_its_new_bytes_and_what_shrank_with_all():
    position = Position("p", 1, offset=60)
    assert Work(Seen("f", 100, 0, 0), (position,)).new_bytes == 40
    assert Work(Seen("f", 50, 0, 0), (position,)).new_bytes == 50
    assert Work(Seen("f", 100, 0, 0), (position, Position("q"))).new_bytes == 100
