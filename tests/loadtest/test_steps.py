"""What steps of load learn from the metrics API's answers."""

from loadtest.steps import AFTER, BEFORE, HIGH, LOW, TARGET, sums


def item(pod: str, value: str, timestamp: str) -> dict[str, object]:
    return {"describedObject": {"kind": "Pod", "name": pod}, "value": value, "timestamp": timestamp}


def test_the_values_of_a_deployments_pods_are_added_up_with_the_newest_time() -> None:
    by_deployment = sums(
        [
            item("web-01-5d9c7-abcde", "60500m", "2023-11-14T22:13:20Z"),
            item("web-02-5d9c7-abcde", "7", "2023-11-14T22:13:20Z"),
            item("web-01-5d9c7-fghij", "60", "2023-11-14T22:13:24Z"),
        ]
    )
    assert by_deployment == {"web-01": (120.5, 1_700_000_004.0), "web-02": (7.0, 1_700_000_000.0)}


def test_the_loads_are_far_from_where_the_hpa_would_decide_otherwise() -> None:
    # at rest under target; after the step 12 % and more from the sums that need 3 or 5, and from 3 beyond tolerance
    assert LOW / BEFORE < TARGET
    assert (AFTER - 1) * TARGET < 0.88 * HIGH
    assert AFTER * TARGET > 1.12 * HIGH
    assert HIGH / (AFTER - 1) > 1.1 * TARGET
