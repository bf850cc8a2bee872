"""The Deployment is deleted in mid-release and made anew: its pods are served, nothing of the release is left."""

import pytest

from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from adapter.rollout.model.actions import DEPLOYMENTS, ENDPOINT_SLICES
from adapter.rollout.model.verdict import FREE
from tests.rollout.objects import is_ready
from tests.rollout.shop import BLUE_GREEN, ROLLING, Shop, deployment, image_of, rolls_back


def replace_deployment(shop: Shop, image: str) -> None:
    """Deletes the Deployment and makes it anew with another image, as `kubectl replace --force` does."""
    new = deployment(3)
    new["spec"]["template"]["spec"]["containers"][0]["image"] = image
    shop.delete(DEPLOYMENTS, shop.get(DEPLOYMENTS))
    shop.put(DEPLOYMENTS, new)


@pytest.mark.parametrize("phase", ["Previewing", "Verifying", "Finishing", "Removing"])
async def test_pods_of_a_deployment_that_is_made_anew_are_served_as_soon_as_they_are_ready(
    phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await Shop(BLUE_GREEN, hpa=True).ready()
    shop.simulator.grace = 30
    if phase == "Removing":
        shop.ears.say = lambda at: rolls_back() if at == "Verifying" else FREE
    shop.release("web:2")
    await shop.until(lambda: shop.phase == phase)
    monkeypatch.setattr(shop, "_look", lambda: None)  # until new pods are ready nobody need be there
    replace_deployment(shop, "web:3")
    left_out = 0

    def look() -> None:
        nonlocal left_out
        ready = {pod["metadata"]["name"] for pod in shop.all(PODS) if image_of(pod) == "web:3" and is_ready(pod)}
        slices = [each for each in shop.all(ENDPOINT_SLICES) if each["metadata"]["name"] == "web"]
        left_out += not ready <= {end["targetRef"]["name"] for each in slices for end in each["endpoints"]}

    shop.every_step.append(look)
    await shop.until_outcome("Deleted")
    await shop.until(lambda: shop.phase == "Idle")
    assert left_out <= 2  # our turn, and the EndpointSlices after it
    assert shop.get(HORIZONTAL_POD_AUTOSCALERS)["spec"]["minReplicas"] == 2
    shop.clean("web:3")


async def test_the_deployment_is_deleted_while_it_rolls_and_the_roll_is_forgotten() -> None:
    shop = await Shop(ROLLING).ready()
    shop.release("web:2")
    await shop.until(lambda: len(shop.pods("web:2")) == 3)
    shop.command("abort")
    await shop.until(lambda: shop.phase == "Rolling")
    replace_deployment(shop, "web:3")
    await shop.until_outcome("Deleted")
    await shop.until(lambda: shop.phase == "Idle")
    assert not shop.status.get("roll")
