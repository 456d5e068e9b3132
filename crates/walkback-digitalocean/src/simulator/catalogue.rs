//! What can be had: regions, sizes, images.

use serde_json::{Value, json};

/// Regions: slug, name.
const REGIONS: [(&str, &str); 5] = [
    ("ams3", "Amsterdam 3"),
    ("fra1", "Frankfurt 1"),
    ("lon1", "London 1"),
    ("nyc3", "New York 3"),
    ("sgp1", "Singapore 1"),
];

/// Sizes: slug, MiB, vcpus, GiB of disk, dollars a month.
const SIZES: [(&str, u32, u32, u32, f64); 5] = [
    ("s-1vcpu-512mb-10gb", 512, 1, 10, 4.0),
    ("s-1vcpu-1gb", 1_024, 1, 25, 6.0),
    ("s-1vcpu-2gb", 2_048, 1, 50, 12.0),
    ("s-2vcpu-2gb", 2_048, 2, 60, 18.0),
    ("s-2vcpu-4gb", 4_096, 2, 80, 24.0),
];

/// Images: id, slug, distribution, name.
const IMAGES: [(u32, &str, &str, &str); 3] = [
    (155_133_621, "ubuntu-24-04-x64", "Ubuntu", "24.04 (LTS) x64"),
    (155_133_622, "debian-12-x64", "Debian", "12 x64"),
    (155_133_623, "debian-13-x64", "Debian", "13 x64"),
];

/// Hours of a month, as the API counts them.
const HOURS: f64 = 672.0;

/// Sizes of a database's nodes.
const DATABASE_SIZES: [&str; 4] =
    ["db-s-1vcpu-1gb", "db-s-1vcpu-2gb", "db-s-2vcpu-4gb", "db-s-4vcpu-8gb"];

pub(super) fn database_sizes() -> Vec<&'static str> {
    DATABASE_SIZES.to_vec()
}

pub(super) fn slugs() -> Vec<&'static str> {
    REGIONS.iter().map(|(slug, _)| *slug).collect()
}

/// A region; null, if there is none of this slug.
pub(super) fn region(slug: &str) -> Value {
    let Some((slug, name)) = REGIONS.iter().find(|(known, _)| *known == slug) else {
        return Value::Null;
    };
    let sizes: Vec<_> = SIZES.iter().map(|size| size.0).collect();
    let features = ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"];
    json!({"name": name, "slug": slug, "features": features, "available": true, "sizes": sizes})
}

/// A size; null, if there is none of this slug.
pub(super) fn size(slug: &str) -> Value {
    let Some((slug, memory, vcpus, disk, price)) = SIZES.iter().find(|size| size.0 == slug) else {
        return Value::Null;
    };
    json!({
        "slug": slug, "memory": memory, "vcpus": vcpus, "disk": disk, "transfer": 1.0,
        "price_monthly": price, "price_hourly": price / HOURS, "regions": slugs(),
        "available": true, "description": "Basic"
    })
}

/// An image by slug or id; null, if there is none.
pub(super) fn image(named: &Value) -> Value {
    let text = named.as_str().map_or_else(|| named.to_string(), str::to_owned);
    let is_it = |image: &&(u32, &str, &str, &str)| image.1 == text || image.0.to_string() == text;
    let Some((id, slug, distribution, name)) = IMAGES.iter().find(is_it) else {
        return Value::Null;
    };
    json!({
        "id": id, "name": name, "type": "base", "distribution": distribution, "slug": slug,
        "public": true, "regions": slugs(), "created_at": "2026-01-10T00:00:00Z",
        "min_disk_size": 10, "size_gigabytes": 0.6, "description": format!("{distribution} {name}"),
        "tags": [], "status": "available", "error_message": ""
    })
}

pub(super) fn regions() -> Vec<Value> {
    REGIONS.iter().map(|(slug, _)| region(slug)).collect()
}

pub(super) fn sizes() -> Vec<Value> {
    SIZES.iter().map(|known| size(known.0)).collect()
}

pub(super) fn images() -> Vec<Value> {
    IMAGES.iter().map(|known| image(&json!(known.1))).collect()
}
