"""The hour of churn: what comes and goes leaves nothing behind."""

from loadtest.churn import EVERY, HPAS_AT_ONCE, PODS_AT_ONCE, Churn


async def test_what_comes_and_goes_leaves_nothing_behind() -> None:
    """Of each pod 20 series at once and 3 more at each scrape; after 40 steps of 5 s all pods are others."""
    churn = Churn()
    await churn.collector.offers.look()
    for _ in range(60):
        await churn.step()
    assert len(churn.demand.declarers) == HPAS_AT_ONCE
    assert len(churn.store) <= PODS_AT_ONCE * (17 + 3 * 60)
    first = len(churn.store)
    for _ in range(60):
        await churn.step()
    assert len(churn.store) <= 1.1 * first
    assert churn.now == 1e9 + 120 * EVERY
