"""What the pictures of the console show is made up, and yet could be."""

from loadtest.console_pictures import sample_board


def test_each_target_lies_within_its_bounds_and_is_at_most_what_it_is_without_caps() -> None:
    amounts = [one for vpa in sample_board().recommendations() for advice in vpa.advice for one in advice.amounts]
    assert len(amounts) == 6  # three containers, CPU and memory
    for one in amounts:
        assert one.lower <= one.target <= one.upper
        assert one.target <= one.uncapped
