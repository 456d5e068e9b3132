// The life of dots-wrapper against a simulated account, unchanged. Called by scripts/clients.
import { createApiClient } from "dots-wrapper";

const [url] = process.argv.slice(2);
const api = createApiClient({ token: "secret", endpoint: `${url}/v2` });

async function until(what, said) {
  for (let nth = 0; nth < 600; nth += 1) {
    if (await what()) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`${said} does not come about`);
}

const made = await api.droplet.createDroplet({
  name: "web", region: "fra1", size: "s-1vcpu-1gb", image: "debian-13-x64", tags: ["dots"],
});
const { id } = made.data.droplet;
const droplet = async () => (await api.droplet.getDroplet({ droplet_id: id })).data.droplet;
await until(async () => (await droplet()).status === "active", "droplet active");
const vpc = await api.vpc.createVpc({ name: "dots", region: "fra1" });
await api.vpc.deleteVpc({ vpc_id: vpc.data.vpc.id });
await api.domain.createDomain({ name: "example.net" });
await api.domain.deleteDomain({ name: "example.net" });
await api.droplet.deleteDroplet({ droplet_id: id });
await until(async () => {
  try {
    await droplet();
    return false;
  } catch (error) {
    return error.response.status === 404;
  }
}, "droplet gone");
console.log("dots-wrapper: lived");
