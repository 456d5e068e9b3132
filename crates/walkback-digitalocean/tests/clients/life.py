"""The lives of three Python clients against a simulated account: the vendor's own, python-digitalocean
and Libcloud, each unchanged. Called by scripts/clients with the account's address."""

import os
import sys
import time

import digitalocean
import pydo
from azure.core.pipeline.policies import SansIOHTTPPolicy
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider

URL, TOKEN = sys.argv[1], "secret"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


def until(what, said):
    for _ in range(600):
        if what():
            return
        time.sleep(0.1)
    raise SystemExit(f"{said} does not come about")


def gone(read, said):
    def is_gone():
        try:
            read()
        except Exception:
            return True
        return False

    until(is_gone, f"{said} gone")


class Bearer(SansIOHTTPPolicy):
    """The token over plain HTTP, which the client's own policy refuses to send."""

    def on_request(self, request):
        request.http_request.headers["Authorization"] = f"Bearer {TOKEN}"


def vendor():
    client = pydo.Client(token=TOKEN, endpoint=URL, authentication_policy=Bearer())
    droplet = {
        "name": "web", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64",
        "tags": ["pydo"],
    }
    made = client.droplets.create(body=droplet)
    number = made["droplet"]["id"]

    def idle():
        listed = client.droplet_actions.list(number)["actions"]
        return all(action["status"] == "completed" for action in listed)

    until(lambda: client.droplets.get(number)["droplet"]["status"] == "active", "droplet active")
    until(idle, "droplet idle")
    volume = {"name": "data", "region": "fra1", "size_gigabytes": 10}
    volume = client.volumes.create(body=volume)["volume"]["id"]
    attach = {"type": "attach", "droplet_id": number}
    client.volume_actions.post_by_id(volume, body=attach)
    until(lambda: client.volumes.get(volume)["volume"]["droplet_ids"] == [number], "attachment")
    ip = client.reserved_ips.create(body={"region": "fra1"})["reserved_ip"]["ip"]
    client.reserved_ips_actions.post(ip, body={"type": "assign", "droplet_id": number})
    until(lambda: client.reserved_ips.get(ip)["reserved_ip"]["droplet"], "assignment")
    cluster = {
        "name": "orders", "engine": "pg", "size": "db-s-1vcpu-1gb", "region": "fra1",
        "num_nodes": 1,
    }
    cluster = client.databases.create_cluster(body=cluster)["database"]["id"]
    online = lambda: client.databases.get_cluster(cluster)["database"]["status"] == "online"
    until(online, "database online")
    client.databases.add_user(cluster, body={"name": "shop"})
    client.databases.delete_user(cluster, "shop")
    client.databases.destroy_cluster(cluster)
    client.domains.create(body={"name": "example.org"})
    record = {"type": "A", "name": "www", "data": ip}
    client.domains.create_record("example.org", body=record)
    client.domains.delete("example.org")
    client.reserved_ips_actions.post(ip, body={"type": "unassign"})
    until(lambda: not client.reserved_ips.get(ip)["reserved_ip"]["droplet"], "release")
    client.reserved_ips.delete(ip)
    client.volume_actions.post_by_id(volume, body={"type": "detach", "droplet_id": number})
    until(lambda: client.volumes.get(volume)["volume"]["droplet_ids"] == [], "detachment")
    client.volumes.delete(volume)
    until(idle, "droplet idle")
    client.droplets.destroy(number)
    until(lambda: not client.droplets.list(tag_name="pydo")["droplets"], "droplet gone")


def community():
    os.environ["DIGITALOCEAN_END_POINT"] = f"{URL}/v2/"
    manager = digitalocean.Manager(token=TOKEN)
    key = digitalocean.SSHKey(token=TOKEN, name="ada", public_key=KEY)
    key.create()
    droplet = digitalocean.Droplet(
        token=TOKEN, name="web", region="fra1", size_slug="s-1vcpu-1gb",
        image="debian-13-x64", ssh_keys=[key.id], tags=["community"],
    )
    droplet.create()
    until(lambda: droplet.load().status == "active", "droplet active")
    assert droplet.ip_address, "no address"
    for action in (droplet.power_off, droplet.power_on):
        taken = action(return_dict=True)["action"]
        assert taken["status"] == "in-progress", taken
        idle = lambda: all(one.status == "completed" for one in droplet.get_actions())
        until(idle, "droplet idle")
    assert droplet.load().status == "active"
    assert [one.id for one in manager.get_all_droplets(tag_name="community")] == [droplet.id]
    droplet.destroy()
    gone(droplet.load, "droplet")
    key.destroy()


def libcloud():
    driver = get_driver(Provider.DIGITAL_OCEAN)(TOKEN)
    driver.connection.base_url, driver.connection.secure = URL, False
    driver.connection.connect()
    sizes = [size for size in driver.list_sizes() if size.name == "s-1vcpu-1gb"]
    images = [image for image in driver.list_images() if image.extra["slug"] == "debian-13-x64"]
    places = [place for place in driver.list_locations() if place.id == "fra1"]
    node = driver.create_node("web", sizes[0], images[0], places[0])

    def running():
        found = [one for one in driver.list_nodes() if one.id == node.id]
        return bool(found) and str(found[0].state) == "running"

    until(running, "node running")
    volume = driver.create_volume(10, "data", places[0])
    assert volume.id in [one.id for one in driver.list_volumes()]
    driver.destroy_volume(volume)
    driver.destroy_node(node)
    until(lambda: not [one for one in driver.list_nodes() if one.id == node.id], "node gone")


for life in (vendor, community, libcloud):
    life()
    print(f"{life.__name__}: lived")
