//! The account itself, and what can be had.

use serde_json::json;

use crate::client::Method;
use crate::simulator::call::{Call, Said, not_found};
use crate::simulator::{Settings, catalogue};

pub(super) fn answer(call: &Call<'_>, settings: &Settings) -> Said {
    let body = match (call.method, call.at.as_slice()) {
        (Method::Get, ["account"]) => json!({"account": {
            "droplet_limit": settings.droplet_limit, "volume_limit": settings.volume_limit,
            "floating_ip_limit": settings.reserved_ip_limit, "reserved_ip_limit": settings.reserved_ip_limit, "email": "ops@example.com", "name": "Operations",
            "uuid": "b6fr89dbf6d9156cace5f3c78dc9851d957381ef", "email_verified": true,
            "status": "active", "status_message": "",
            "team": {"uuid": "5df3e3004a17e242b7c20ca6c9fc25b701a47ece", "name": "My Team"}
        }}),
        (Method::Get, ["regions"]) => call.page("regions", catalogue::regions()),
        (Method::Get, ["sizes"]) => call.page("sizes", catalogue::sizes()),
        _ => return Err(not_found()),
    };
    Ok((200, body))
}
